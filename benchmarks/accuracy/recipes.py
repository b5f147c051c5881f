"""The recipes that are compared: name → overrides of `melanoma-train`.

Recipes after "averaged, batch norm" add one option to it. `{runs}` is the folder of the screened runs.
"""

COMMON = (
    "data.image_size=112", "trainer.precision=auto", "checkpoint.evaluate=last", "report=numbers", "logger=none",
    "callbacks.graph=null", "callbacks.training_images=null", "callbacks.worst_mistakes=null", "callbacks.curves=null",
)  # fmt: skip
BASELINE = ("experiment=baseline", "~callbacks.early_stopping", "trainer.max_epochs=40")
CENTRED = (*BASELINE, "data.normalisation=imagenet")
AVERAGED = (
    *CENTRED,
    "+callbacks.averaged={_target_:melanoma_pl.training.callbacks.averaged_weights.AveragedWeights,decay:0.995}",
)
START = (*AVERAGED, "model.batch_norm=true")
COLOURS = (
    "augmentation.hue=0.05", "augmentation.saturation=0.4", "augmentation.brightness=0.3", "augmentation.contrast=0.3",
)  # fmt: skip
PRETRAINED = ("experiment=pretrained",)
RECIPES: dict[str, tuple[str, ...]] = {
    "baseline": BASELINE,
    "centred": CENTRED,
    "centred, averaged": AVERAGED,
    "centred, batch norm": (*CENTRED, "model.batch_norm=true"),
    "centred, batch norm, averaged": START,
    "+ in turn": (*START, "augmentation.in_turn=true"),
    "+ lr 3e-4": (*START, "optimizer.lr=3e-4"),
    "+ lr 3e-3": (*START, "optimizer.lr=3e-3"),
    "+ batch 64": (*START, "data.batch_size=64"),
    "+ dropout 0.5": (*START, "model.dropout=0.5"),
    "+ weight decay 0.1": (*START, "optimizer.weight_decay=0.1"),
    "+ dense layer: weight decay 1": (*START, "+parameter_groups.dense_1={weight_decay:1.0}"),
    "+ dense layer: lr 2e-4": (*START, "+parameter_groups.dense_1={lr:2e-4}"),
    "+ label smoothing 0.1": (*START, "loss.label_smoothing=0.1"),
    "+ mixup 0.2": (*START, "loss.mixup=0.2"),
    "+ shades of gray": (*START, "data.colour_constancy=shades_of_gray"),
    "+ borders erased": (*START, "augmentation.border=0.25"),
    "+ stronger colours": (*START, *COLOURS),
    "+ balanced sources": (*START, "data.balance=[label,in_ham10000]"),
    "+ one source": (*START, "data.where='in_ham10000=1'"),
    "+ 80 epochs": (*START, "trainer.max_epochs=80"),
    "+ 80 epochs, in turn": (*START, "trainer.max_epochs=80", "augmentation.in_turn=true"),
    "+ 160 epochs, in turn": (*START, "trainer.max_epochs=160", "augmentation.in_turn=true"),
    "+ teacher": (*START, "model.teacher={runs}/pretrained/${data.fold}"),
    "+ teacher alone": (*START, "model.teacher={runs}/pretrained/${data.fold}", "loss.teacher_weight=1"),
    "+ teacher, 80 epochs, in turn": (
        *START, "model.teacher={runs}/pretrained/${data.fold}", "trainer.max_epochs=80", "augmentation.in_turn=true",
    ),
    "pretrained": PRETRAINED,
    "pretrained, stronger colours": (*PRETRAINED, *COLOURS),
    "pretrained, shades of gray": (*PRETRAINED, "data.colour_constancy=shades_of_gray"),
    "pretrained, borders erased": (*PRETRAINED, "augmentation.border=0.25"),
    "pretrained, balanced sources": (*PRETRAINED, "data.balance=[label,in_ham10000]"),
    "pretrained, one source": (*PRETRAINED, "data.where='in_ham10000=1'"),
    "pretrained, mixup 0.2": (*PRETRAINED, "loss.mixup=0.2"),
}  # fmt: skip
