"""The recipes that are compared: name → overrides of `melanoma-train`."""

AVERAGED = "+callbacks.averaged={_target_:melanoma_pl.training.callbacks.averaged_weights.AveragedWeights,decay:0.995}"
COMMON = (
    "experiment=baseline", "~callbacks.early_stopping", "data.image_size=112", "trainer.max_epochs=40",
    "trainer.precision=auto", "checkpoint.evaluate=last", "report=numbers", "logger=none", "callbacks.graph=null",
    "callbacks.training_images=null", "callbacks.worst_mistakes=null", "callbacks.curves=null",
)  # fmt: skip
CENTRED = ("data.normalisation=imagenet",)
RECIPES: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "centred": CENTRED,
    "centred, lr 3e-4": (*CENTRED, "optimizer.lr=3e-4"),
    "centred, lr 3e-3": (*CENTRED, "optimizer.lr=3e-3"),
    "centred, averaged": (*CENTRED, AVERAGED),
    "centred, batch norm": (*CENTRED, "model.batch_norm=true"),
    "centred, batch norm, averaged": (*CENTRED, "model.batch_norm=true", AVERAGED),
    "centred, in turn": (*CENTRED, "augmentation.in_turn=true"),
    "centred, batch 64": (*CENTRED, "data.batch_size=64"),
    "centred, dropout 0.5": (*CENTRED, "model.dropout=0.5"),
    "centred, weight decay 0.1": (*CENTRED, "optimizer.weight_decay=0.1"),
    "centred, dense layer: weight decay 1": (*CENTRED, "+parameter_groups.dense_1={weight_decay:1.0}"),
    "centred, dense layer: lr 2e-4": (*CENTRED, "+parameter_groups.dense_1={lr:2e-4}"),
    "centred, label smoothing 0.1": (*CENTRED, "loss.label_smoothing=0.1"),
    "centred, mixup 0.2": (*CENTRED, "loss.mixup=0.2"),
    "centred, shades of gray": (*CENTRED, "data.colour_constancy=shades_of_gray"),
    "centred, borders erased": (*CENTRED, "augmentation.border=0.25"),
    "centred, stronger colours": (
        *CENTRED, "augmentation.hue=0.05", "augmentation.saturation=0.4", "augmentation.brightness=0.3",
        "augmentation.contrast=0.3",
    ),
}  # fmt: skip
