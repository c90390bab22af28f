"""One frozen configuration of the network, its training and its tracker.

Every choice that the paper leaves open, or that the released code makes otherwise, carries the
number of its row in DEVIATIONS.md (D1, D2, ...).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from dataclasses import replace as _replace

from scs_siam.runtime.files import BadInput


@dataclass(frozen=True)
class ModelConfig:
    """The network of Sections 3.1 to 3.4 and Table 1."""

    backbone: str = "table1"  # table1 | alexnet (the SiameseFC baseline of Sec. 3.1)
    width: float = 1.0  # factor on all channels; 1 is the network of the paper
    fusion: bool = True  # Eq. 2, 3: add the features of the image and of the masked image
    attention: tuple[str, ...] = ("channel", "spatial")  # in the order applied; Sec. 3.3, 3.4
    attention_on_search: bool = False  # B-SCS-Siam: attention in both branches (Table 9)
    channel_pools: tuple[str, ...] = ("average", "maximum")  # Eq. 5; Table 10 removes one
    spatial_parts: tuple[str, ...] = ("context", "transform")  # Figure 6; Table 10 removes one
    shared_block: bool = True  # D1: one first block for the image and the masked image
    plain_conv2: bool = False  # D3: no batch norm and ReLU between Conv2 and Conv3
    bn_eps: float = 1e-5  # D4, D8
    bn_momentum: float = 0.1  # D4, D8
    channel_fusion: str = "sigmoid_then_sum"  # D5: or sum_then_sigmoid, with shared layers
    channel_reduction: int = 6  # D6: 384 channels to 64
    context_product: str = "elementwise"  # D7: elementwise (Figure 6) | matrix
    response_scale: float = 1e-3  # D10: factor on the response map
    offset: bool = True  # D10: learn b of Eq. 1 and 4; otherwise b = 0


@dataclass(frozen=True)
class TrainingConfig:
    """Pairs, augmentation, loss and optimizer (Sec. 3.5, 4.1, Algorithm 1)."""

    sigma: float = 0.9  # weight of the background in the masked images (Sec. 3.2)
    mask_template: bool = True  # T_sm is masked; otherwise T_sm = T
    mask_search: bool = True  # S_sm is masked; otherwise S_sm = S
    mask_centre: str = "search"  # D15: whose box the masked search crop is centred on; or template
    aligned: bool = True  # D16: the image and the masked image share one random crop
    mask_padding: str = "dimmed"  # D17: sigma x image mean; masked_mean: mean of the masked image
    mask_clip: bool = True  # D27: clip a box at the frame's border; otherwise all is background
    template_size: int = 127  # pixels (Sec. 3.5)
    search_size: int = 255  # pixels (Sec. 3.5; D18, D28)
    max_shift: tuple[float, float] = (0.0, 8.0)  # D18: shift of template and search, crop pixels
    label_follows: bool = True  # D29: the centre of the label moves with the shifted target
    max_stretch: float = 0.05  # D18: random stretch of each axis, as a fraction
    flip: float = 0.5  # D18: probability that a pair is mirrored
    colour: float = 0.2  # D18: random gain and offset of each colour channel, fraction of the range
    grey: float = 0.1  # D18: probability that a pair loses its colour
    blur: float = 0.2  # D18: probability that a search crop is blurred
    max_distance: int = 100  # D12: frames between template and search
    min_area: float = 10.0  # D12: smaller boxes are dropped, square pixels
    sequence_weight: float = 0.0  # D12: a sequence is drawn in proportion to frames ** this
    hold_out: int = 0  # every n-th sequence is kept for validation; 0 keeps none
    epochs: int = 50  # D12
    pairs: int = 4_667_500  # D12: in all epochs; 10 per sequence and epoch of GOT-10k's 9,335
    batch: int = 32  # D12
    learning_rate: tuple[float, float] = (1e-2, 1e-5)  # first and last epoch (Sec. 4.1; D13)
    early_decay: bool = False  # D25: the schedule steps before the first epoch
    momentum: float = 0.9  # Sec. 4.1
    weight_decay: float = 1e-5  # Sec. 4.1; D11
    positive_radius: float = 16.0  # D14: L1 distance in pixels
    balanced: bool = False  # D14: positives and negatives weigh the same; otherwise plain mean


@dataclass(frozen=True)
class TrackingConfig:
    """Algorithm 2 and Section 4.1."""

    sigma: float = 1.0  # 1: S_sm = S; below 1: masks from the previous box (Table 8, last row)
    template_size: int = 135  # pixels (Sec. 4.1; D19)
    search_size: int = 263  # pixels (Sec. 4.1; D19)
    scale_at: int = 127  # D30: template pixels per context side; 127 keeps the training scale
    scale_step: float = 1.0375  # Sec. 4.1
    scales: int = 3  # Sec. 4.1
    scale_penalty: float = 0.9745  # D21: factor on the response of every scale but the middle one
    scale_damping: float = 0.59  # D21: weight of the new size
    window_influence: float = 0.27  # D20: weight of the cosine window
    upsampling: int = 16  # D19: bicubic
    centre_cell: float = 135.5  # D26: cell of the upsampled response that means no displacement
    size_limits: tuple[float, float] = (0.2, 5.0)  # D26: smallest and largest size, of the first


@dataclass(frozen=True)
class Config:
    """Everything that decides a result except the data and the seed."""

    variant: str = "SCS-Siam"  # a name in VARIANTS
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    @classmethod
    def preset(cls, preset: str = "paper", variant: str = "SCS-Siam", width: float = 1.0) -> Config:
        """Return a variant as the paper ("paper") or the released code ("released") has it."""
        changes = {**_known(PRESETS, preset, "preset"), **_known(VARIANTS, variant, "variant")}
        return cls(variant=variant).replace(**changes).replace(**{"model.width": width})

    @classmethod
    def from_dict(cls, values: dict) -> Config:
        """Return the configuration that `to_dict` wrote; BadInput names a wrong key or value."""
        return _from_dict(cls, values, "config")

    def to_dict(self) -> dict:
        """Return a nested plain dict that can be written as JSON."""
        return asdict(self)

    def replace(self, **changes) -> Config:
        """Return a copy with changed settings, named as in "training.sigma".

        BadInput names an unknown setting or a wrong value.
        """
        config = self.to_dict()
        for name, value in changes.items():
            *sections, last = name.split(".")
            values = config
            for section in sections:
                values = values.get(section) if isinstance(values, dict) else None
            if not isinstance(values, dict) or isinstance(values.get(last, {}), dict):
                raise BadInput(f"config: there is no setting '{name}'")
            values[last] = value
        return type(self).from_dict(config)


# The rows of Tables 8, 9 and 10, each as its difference from the presets.
SIAMESEFC = {"model.backbone": "alexnet", "model.fusion": False, "model.offset": False}
VARIANTS = {
    "SiameseFC": {**SIAMESEFC, "model.attention": (), "training.sigma": 1.0},
    "Extended-SiamFC": {"model.attention": (), "training.sigma": 1.0},
    "SSA-Siam": {"model.attention": ("spatial",)},
    "SCA-Siam": {"model.attention": ("channel",)},
    "SSC-Siam": {"model.attention": ("spatial", "channel")},
    "SCS-Siam": {},
    "B-SCS-Siam": {"model.attention_on_search": True},
    "SCA-GMP": {"model.attention": ("channel",), "model.channel_pools": ("maximum",)},
    "SCA-GAP": {"model.attention": ("channel",), "model.channel_pools": ("average",)},
    "SSA-Context": {"model.attention": ("spatial",), "model.spatial_parts": ("context",)},
    "SSA-Transform": {"model.attention": ("spatial",), "model.spatial_parts": ("transform",)},
}

AUGMENTATION_OFF = {f"training.{name}": 0.0 for name in ("flip", "colour", "grey", "blur")}
RELEASED = {  # what the released code does otherwise, by the number of its row in DEVIATIONS.md
    "D1": {"model.shared_block": False},
    "D3": {"model.plain_conv2": True},
    "D4": {"model.bn_eps": 1e-6, "model.bn_momentum": 0.05},
    "D5": {"model.channel_fusion": "sum_then_sigmoid"},
    "D7": {"model.context_product": "matrix"},
    "D10": {"model.offset": False},
    "D11": {"training.weight_decay": 5e-4},
    "D14": {"training.balanced": True},
    "D15": {"training.mask_centre": "template"},
    "D16": {"training.aligned": False},
    "D17": {"training.mask_padding": "masked_mean"},
    "D18": {"training.max_shift": (4.0, 4.0), **AUGMENTATION_OFF},
    "D25": {"training.early_decay": True},
    "D26": {"tracking.centre_cell": 136.0, "tracking.size_limits": (0.0, float("inf"))},
    "D27": {"training.mask_clip": False},
    "D28": {"training.search_size": 239},
    "D29": {"training.label_follows": False},
    "D30": {"tracking.scale_at": 135},
}
ALL_RELEASED = {name: value for choices in RELEASED.values() for name, value in choices.items()}
PRESETS = {"paper": {}, "released": ALL_RELEASED}

CHOICES = {
    "backbone": ("table1", "alexnet"),
    "attention": ("channel", "spatial"),
    "channel_pools": ("average", "maximum"),
    "spatial_parts": ("context", "transform"),
    "channel_fusion": ("sigmoid_then_sum", "sum_then_sigmoid"),
    "context_product": ("elementwise", "matrix"),
    "mask_centre": ("search", "template"),
    "mask_padding": ("dimmed", "masked_mean"),
}
FRACTIONS = (
    "sigma flip grey blur colour weight_decay scale_penalty scale_damping window_influence "
    "bn_momentum sequence_weight"
)
RANGES = dict.fromkeys(FRACTIONS.split(), (0, 1)) | {  # lowest and highest value allowed
    **dict(width=(1 / 64, 4), channel_reduction=(1, 384), bn_eps=(1e-12, 1)),
    **dict(response_scale=(1e-9, 1e3), template_size=(95, 1023), search_size=(159, 2047)),
    **dict(max_stretch=(0, 0.5), max_shift=(0, 64), max_distance=(0, 1e9), min_area=(0, 1e9)),
    **dict(hold_out=(0, 1e6), epochs=(1, 1e6), pairs=(1, 1e12), batch=(1, 1e5)),
    **dict(learning_rate=(1e-12, 10), momentum=(0, 0.9999), positive_radius=(0, 1e3)),
    **dict(scale_at=(64, 1023), scale_step=(1, 2), scales=(1, 9), upsampling=(1, 64)),
    **dict(centre_cell=(0, 1e4), size_limits=(0, float("inf"))),
}


def _known(table, name, kind):
    if name not in table:
        raise BadInput(f"there is no {kind} '{name}'; choose one of {', '.join(table)}")
    return table[name]


def _from_dict(cls, values, path):
    known = {setting.name for setting in fields(cls)}
    unknown = sorted(map(str, set(values) - known)) if isinstance(values, dict) else [values]
    if unknown:
        raise BadInput(f"{path}: there is no setting '{unknown[0]}'")
    made, checked = cls(), {}
    for name, value in values.items():
        checked[name] = _check(getattr(made, name), value, name, f"{path}.{name}")
    made = _replace(made, **checked)
    template, search = getattr(made, "template_size", 0), getattr(made, "search_size", 0)
    if search < template:
        problem = f"a search_size of {search} cannot hold the template_size of {template}"
        raise BadInput(f"{path}: {problem}; enlarge it")
    low, high = getattr(made, "size_limits", (0, 0))
    if low > high:
        raise BadInput(f"{path}: size_limits {low}, {high} are reversed; give the lower one first")
    return made


def _check(default, value, name, path):
    """Return `value` with the type of `default`, checked against CHOICES, RANGES and VARIANTS."""
    if is_dataclass(default):
        return value if isinstance(value, type(default)) else _from_dict(type(default), value, path)
    if isinstance(default, tuple):
        return _check_list(default, value, name, path)
    if isinstance(default, (bool, str)):
        if not isinstance(value, type(default)):
            raise BadInput(f"{path}: {value!r} is not of type {type(default).__name__}")
    else:
        value = _check_number(default, value, name, path)
    choices = VARIANTS if name == "variant" else CHOICES.get(name)
    if choices and value not in choices:
        raise BadInput(f"{path}: {value!r} is not one of {', '.join(choices)}")
    return value


def _check_list(default, value, name, path):
    if not isinstance(value, (list, tuple)):
        raise BadInput(f"{path}: {value!r} is not a list")
    if name in RANGES and len(value) != len(default):
        raise BadInput(f"{path}: {value!r} must hold {len(default)} numbers")
    parts = tuple(_check(default[0], part, name, path) for part in value)
    if name in CHOICES and (len(set(parts)) < len(parts) or not (parts or name == "attention")):
        parts_known = ", ".join(CHOICES[name])
        raise BadInput(f"{path}: {value!r} is empty or names a part twice; choose of {parts_known}")
    return parts


def _check_number(default, value, name, path):
    whole = isinstance(default, int)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or (whole and value % 1 != 0):  # NaN and infinity are not whole
        raise BadInput(f"{path}: {value!r} is not a {'whole ' if whole else ''}number")
    low, high = RANGES[name]
    try:
        value = type(default)(value)
    except OverflowError:
        problem = f"a number of that many digits is outside {low:g} to {high:g}"
        raise BadInput(f"{path}: {problem}") from None
    if not low <= value <= high:
        raise BadInput(f"{path}: {value!r} is outside {low:g} to {high:g}")
    return value
