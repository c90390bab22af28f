"""One frozen configuration. Every choice that the paper leaves open carries the number of its line in DEVIATIONS.md."""

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from dataclasses import replace as _replace

from scs_siam.runtime.files import BadInput


@dataclass(frozen=True)
class ModelConfig:
    """The network of Sec. 3.1 to 3.4 and Table 1."""

    backbone: str = "table1"  # table1 | alexnet (the SiameseFC baseline of Sec. 3.1)
    width: float = 1.0  # factor on all channels; 1 is the paper's network
    fusion: bool = True  # Eq. 2, 3: sum the first block over image and masked image
    attention: tuple[str, ...] = ("channel", "spatial")  # in the order applied; Sec. 3.3, 3.4
    attention_on_search: bool = False  # B-SCS-Siam: attention on both branches (Table 9)
    channel_pools: tuple[str, ...] = ("average", "maximum")  # Eq. 5; Table 10 takes one away
    spatial_parts: tuple[str, ...] = ("context", "transform")  # Figure 6; Table 10 takes one away
    shared_block: bool = True  # D1: one B for image and masked image
    plain_conv2: bool = False  # D3: no BN and ReLU between Conv2 and Conv3
    bn_eps: float = 1e-5  # D4, D8
    bn_momentum: float = 0.1  # D4, D8
    channel_fusion: str = (
        "sigmoid_then_sum"  # D5: sigmoid_then_sum (Eq. 5) | sum_then_sigmoid (one shared FC pair)
    )
    channel_reduction: int = 6  # D6: 384 channels to 64
    context_product: str = "elementwise"  # D7: elementwise (Figure 6) | matrix
    response_scale: float = 1e-3  # D10: factor on the response
    offset: bool = True  # D10: learn b of Eq. 1, 4; otherwise b = 0


@dataclass(frozen=True)
class TrainingConfig:
    """Pairs, augmentation, loss and optimizer (Sec. 3.5, 4.1, Algorithm 1)."""

    sigma: float = 0.9  # weight of the background in the masked images (Sec. 3.2)
    mask_template: bool = True  # T_sm is masked; otherwise T_sm = T
    mask_search: bool = True  # S_sm is masked; otherwise S_sm = S
    mask_centre: str = (
        "search"  # D15: the masked search crop is centred on the box of the search | template
    )
    aligned: bool = True  # D16: image and masked image share one random crop
    mask_padding: str = (
        "dimmed"  # D17: dimmed (sigma x image mean) | masked_mean (mean of the masked image)
    )
    mask_clip: bool = True  # D27: clip a box at the frame; otherwise one past the left or top border masks everything
    template_size: int = 127  # pixels (Sec. 3.5)
    search_size: int = 255  # pixels (Sec. 3.5; D18, D28)
    max_shift: tuple[float, float] = (
        0.0,
        8.0,
    )  # D18: random shift of template and search, pixels of the crop
    label_follows: bool = True  # D29: the label's centre moves with the shifted target
    max_stretch: float = 0.05  # D18: random stretch of each axis, fraction
    flip: float = 0.5  # D18: probability that a pair is mirrored
    colour: float = 0.2  # D18: random gain and offset of each colour channel, fraction of the range
    grey: float = 0.1  # D18: probability that a pair loses its colour
    blur: float = 0.2  # D18: probability that a search crop is blurred
    max_distance: int = 100  # D12: frames between template and search
    min_area: float = 10.0  # D12: smaller boxes are dropped, square pixels
    sequence_weight: float = 0.0  # D12: a sequence is drawn in proportion to (its frames) ** this
    hold_out: int = 0  # every n-th sequence is kept for validation; 0: none
    epochs: int = 50  # D12
    pairs: int = (
        4_667_500  # D12: of all epochs together; 10 a sequence and epoch on GOT-10k's 9,335
    )
    batch: int = 32  # D12
    learning_rate: tuple[float, float] = (1e-2, 1e-5)  # first and last epoch (Sec. 4.1; D13)
    early_decay: bool = False  # D25: the schedule steps before the first epoch
    momentum: float = 0.9  # Sec. 4.1
    weight_decay: float = 1e-5  # Sec. 4.1; D11
    positive_radius: float = 16.0  # D14: L1 distance in pixels
    balanced: bool = (
        False  # D14: positives and negatives weigh the same; otherwise the plain mean of Eq. 7
    )


@dataclass(frozen=True)
class TrackingConfig:
    """Algorithm 2 and Sec. 4.1."""

    sigma: float = (
        1.0  # 1: S_sm = S; below 1 the masks come from the previous box (Table 8, last row)
    )
    template_size: int = 135  # pixels (Sec. 4.1; D19)
    search_size: int = 263  # pixels (Sec. 4.1; D19)
    scale_at: int = (
        127  # D30: template pixels that one context side spans; 127 keeps the scale of training
    )
    scale_step: float = 1.0375  # Sec. 4.1
    scales: int = 3  # Sec. 4.1
    scale_penalty: float = 0.9745  # D21: factor on the response of every scale but the middle one
    scale_damping: float = 0.59  # D21: weight of the new size
    window_influence: float = 0.27  # D20: weight of the cosine window
    upsampling: int = 16  # D19: bicubic
    centre_cell: float = 135.5  # D26: cell of the upsampled response that means no displacement
    size_limits: tuple[float, float] = (0.2, 5.0)  # D26: of the first size


@dataclass(frozen=True)
class Config:
    """Everything that decides a result, but for the data and the seed."""

    variant: str = "SCS-Siam"  # a name in VARIANTS
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    @classmethod
    def preset(cls, preset="paper", variant="SCS-Siam", width=1.0):
        """The configuration of a named variant as the paper or as the released code has it."""
        config = cls(variant=variant).replace(
            **{**_known(PRESETS, preset, "preset"), **_known(VARIANTS, variant, "variant")}
        )
        return config.replace(**{"model.width": width})

    @classmethod
    def from_dict(cls, values):
        """The configuration that `to_dict` wrote; BadInput on a key that is not one of ours or a value of the wrong type."""
        return _from_dict(cls, values, "config")

    def to_dict(self):
        """Nested plain dict, ready for JSON."""
        return asdict(self)

    def replace(self, **changes):
        """A copy with changed fields, named "training.sigma" and so on; BadInput on an unknown name or a wrong value."""
        config = self.to_dict()
        for name, value in changes.items():
            place, *parts = config, *name.split(".")
            for part in parts[:-1]:
                place = place.get(part) if isinstance(place, dict) else None
            if (
                not isinstance(place, dict)
                or parts[-1] not in place
                or isinstance(place[parts[-1]], dict)
            ):
                raise BadInput(f"config: there is no setting '{name}'")
            place[parts[-1]] = value
        return type(self).from_dict(config)


# The rows of Tables 8, 9 and 10, each as its difference from the presets.
VARIANTS = {
    "SiameseFC": {
        "model.backbone": "alexnet",
        "model.fusion": False,
        "model.attention": (),
        "model.offset": False,
        "training.sigma": 1.0,
    },
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

RELEASED = {  # what the released code does otherwise, by the number of its line in DEVIATIONS.md
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
    "D18": {
        "training.max_shift": (4.0, 4.0),
        "training.flip": 0.0,
        "training.colour": 0.0,
        "training.grey": 0.0,
        "training.blur": 0.0,
    },
    "D25": {"training.early_decay": True},
    "D26": {"tracking.centre_cell": 136.0, "tracking.size_limits": (0.0, float("inf"))},
    "D27": {"training.mask_clip": False},
    "D28": {"training.search_size": 239},
    "D29": {"training.label_follows": False},
    "D30": {"tracking.scale_at": 135},
}
PRESETS = {
    "paper": {},
    "released": {name: value for switches in RELEASED.values() for name, value in switches.items()},
}

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
RANGES = {  # lowest and highest value allowed
    "sigma": (0, 1),
    "width": (1 / 64, 4),
    "flip": (0, 1),
    "grey": (0, 1),
    "blur": (0, 1),
    "colour": (0, 1),
    "max_stretch": (0, 0.5),
    "max_shift": (0, 64),
    "momentum": (0, 0.9999),
    "weight_decay": (0, 1),
    "epochs": (1, 1e6),
    "pairs": (1, 1e12),
    "batch": (1, 1e5),
    "learning_rate": (1e-12, 10),
    "scales": (1, 9),
    "scale_step": (1, 2),
    "scale_penalty": (0, 1),
    "scale_damping": (0, 1),
    "window_influence": (0, 1),
    "upsampling": (1, 64),
    "channel_reduction": (1, 384),
    "bn_eps": (1e-12, 1),
    "bn_momentum": (0, 1),
    "template_size": (95, 1023),
    "search_size": (159, 2047),
    "min_area": (0, 1e9),
    "max_distance": (0, 1e9),
    "positive_radius": (0, 1e3),
    "sequence_weight": (0, 1),
    "hold_out": (0, 1e6),
    "response_scale": (1e-9, 1e3),
    "size_limits": (0, float("inf")),
    "centre_cell": (0, 1e4),
    "scale_at": (64, 1023),
}


def _known(table, name, kind):
    if name not in table:
        raise BadInput(f"there is no {kind} '{name}'; choose one of {', '.join(table)}")
    return table[name]


def _from_dict(cls, values, path):
    names = {f.name: f for f in fields(cls)}
    unknown = sorted(map(str, set(values) - set(names))) if isinstance(values, dict) else [values]
    if unknown:
        raise BadInput(f"{path}: there is no setting '{unknown[0]}'")
    default = cls()
    checked = {
        name: _value(getattr(default, name), value, f"{path}.{name}")
        for name, value in values.items()
    }
    return _fitting(_replace(default, **checked), path)


def _fitting(made, path):
    """`made`, if its settings fit each other."""
    if isinstance(made, (TrainingConfig, TrackingConfig)) and made.search_size < made.template_size:
        raise BadInput(
            f"{path}: a search_size of {made.search_size} cannot hold the template_size of {made.template_size}; enlarge it"
        )
    if isinstance(made, TrackingConfig) and made.size_limits[0] > made.size_limits[1]:
        raise BadInput(
            f"{path}: the size_limits {made.size_limits} have no room between them; give the lower one first"
        )
    return made


def _value(default, value, path):
    """`value` in the type of `default`, checked against CHOICES, RANGES and VARIANTS."""
    name = path.rsplit(".", 1)[-1]
    if is_dataclass(default):
        return value if isinstance(value, type(default)) else _from_dict(type(default), value, path)
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)):
            raise BadInput(f"{path}: {value!r} is not a list")
        number = name in RANGES
        if number and len(value) != len(default):
            raise BadInput(f"{path}: {value!r} must hold {len(default)} numbers")
        parts = tuple(_value(default[0], part, path) for part in value)
        if not number and (len(set(parts)) < len(parts) or (not parts and name != "attention")):
            raise BadInput(
                f"{path}: {value!r} is empty or names a part twice; the parts are {', '.join(CHOICES[name])}"
            )
        return parts
    if isinstance(default, bool) or isinstance(default, str):
        if not isinstance(value, type(default)):
            raise BadInput(f"{path}: {value!r} is not of type {type(default).__name__}")
    else:
        whole = isinstance(default, int)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or (whole and value % 1 != 0)
        ):  # NaN and infinity are not whole
            raise BadInput(f"{path}: {value!r} is not a {'whole ' if whole else ''}number")
        low, high = RANGES[name]
        try:
            value = type(default)(value)
        except OverflowError:
            raise BadInput(
                f"{path}: a number of that many digits is outside {low:g} to {high:g}"
            ) from None
        if not low <= value <= high:
            raise BadInput(f"{path}: {value!r} is outside {low:g} to {high:g}")
    choices = VARIANTS if name == "variant" else CHOICES.get(name)
    if choices and value not in choices:
        raise BadInput(f"{path}: {value!r} is not one of {', '.join(choices)}")
    return value
