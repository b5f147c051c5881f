"""The page's sentences in English and French, and the choice between them. Light."""

import re
from dataclasses import dataclass
from typing import Literal

from melanoma_pl.messages import DISCLAIMER, readable

Code = Literal["en", "fr"]

PHRASES: dict[str, tuple[str, str]] = {  # English, French
    "title": ("Melanoma or harmless mole", "Mélanome ou grain de beauté bénin"),
    "lead": (
        "A neural network estimates for each image the probability that it is {malignant}.",
        "Un réseau de neurones estime pour chaque image la probabilité qu’elle soit {malignant}.",
    ),
    "local": (
        "Images do not leave this computer. They are held in memory until they are answered, and stored nowhere.",
        "Les images ne quittent pas cet ordinateur. Elles restent en mémoire le temps de la réponse et ne sont "
        "enregistrées nulle part.",
    ),
    "remote": (
        "Images are sent, unencrypted, to the computer that runs this page. It holds them in memory until they are "
        "answered, and stores them nowhere.",
        "Les images sont envoyées, sans chiffrement, à l’ordinateur qui fournit cette page. Il les garde en mémoire le "
        "temps de la réponse et ne les enregistre nulle part.",
    ),
    "disclaimer": (
        f"{DISCLAIMER} Show a mole that worries you to a doctor.",
        "Logiciel de recherche et non un dispositif médical : il ne pose aucun diagnostic. Montrez à un médecin un "
        "grain de beauté qui vous inquiète.",
    ),
    "synthetic": (
        "The network was trained on {note} images: its numbers say nothing about patients.",
        "Le réseau a été entraîné sur des images {note} : ses chiffres ne disent rien sur des patients.",
    ),
    "no_detector": (
        "This network cannot tell whether an image is out of distribution.",
        "Ce réseau ne peut pas dire si une image est hors distribution.",
    ),
    "uncalibrated": (
        "The probabilities are not calibrated, and the threshold is 0.5 by default.",
        "Les probabilités ne sont pas calibrées, et le seuil est de 0,5 par défaut.",
    ),
    "cross_validation": (
        "Temperature and threshold are those of the network’s recipe in a cross-validation.",
        "La température et le seuil sont ceux de la même méthode en validation croisée.",
    ),
    "choose": ("Choose images, or drop them here", "Choisissez des images ou déposez-les ici"),
    "hint": (
        "On a phone you can take photos. At most {images} images and {megabytes} MB at a time.",
        "Sur un téléphone, vous pouvez prendre des photos. Au plus {images} images et {megabytes} Mo à la fois.",
    ),
    "heat_map": (
        "With a heat map: where the image supports the decision",
        "Avec une carte : où l’image appuie la décision",
    ),
    "send": ("Predict", "Prédire"),
    "results": ("Answers", "Réponses"),
    "clear": ("Remove all answers", "Effacer toutes les réponses"),
    "seen": ("What the network sees: {side} × {side} pixels", "Ce que voit le réseau : {side} × {side} pixels"),
    "map": (
        "Where the image supports the decision “{decision}”: the more yellow, the more",
        "Où l’image appuie la décision « {decision} » : plus c’est jaune, plus elle l’appuie",
    ),
    "map_empty": (
        "No region of the image supports this decision.",
        "Aucune région de l’image n’appuie cette décision.",
    ),
    "ask_map": ("Show heat map", "Afficher la carte"),
    "ood": (
        "Out of distribution: this image differs from those that the network was trained on. Do not rely on the number "
        "below.",
        "Hors distribution : cette image diffère de celles sur lesquelles le réseau a été entraîné. Ne vous fiez pas "
        "au nombre ci-dessous.",
    ),
    "called": ("The network calls this image {decision}", "Le réseau classe cette image comme {decision}"),
    "reaches": (
        "The probability {probability} reaches the threshold {threshold}.",
        "La probabilité {probability} atteint le seuil {threshold}.",
    ),
    "below": (
        "The probability {probability} lies below the threshold {threshold}.",
        "La probabilité {probability} est inférieure au seuil {threshold}.",
    ),
    "scale": (
        "Scale from 0 to 1: probability {probability}, threshold {threshold}",
        "Échelle de 0 à 1 : probabilité {probability}, seuil {threshold}",
    ),
    "threshold": ("threshold {threshold}", "seuil {threshold}"),
    "meaning": (
        "Of 100 {split} images with a probability like this, about {count} were {malignant}.",
        "Sur 100 images de {split} avec une telle probabilité, environ {count} étaient {malignant_plural}.",
    ),
    "measured": (
        "Measured on the {n} nearest of {all} {split} images (probability {lowest} to {highest}): {positives} of them "
        "were {malignant}; 95 % confidence interval {low} to {high} of 100. Of all {all}, {base} of 100 were; where "
        "fewer are, as among the moles that a doctor sees, this figure is lower too.",
        "Mesuré sur les {n} plus proches de {all} images de {split} (probabilité de {lowest} à {highest}) : "
        "{positives} d’entre elles étaient {malignant_plural} ; intervalle de confiance à 95 % : {low} à {high} sur "
        "100. Parmi toutes, {base} sur 100 l’étaient ; là où elles sont plus rares, comme chez un "
        "médecin, ce chiffre est plus bas aussi.",
    ),
    "unmeasured": (
        "No {split} image had a probability like this, so nobody knows what it means.",
        "Aucune image de {split} n’avait une telle probabilité : personne ne sait ce qu’elle signifie.",
    ),
    "not_for_ood": (
        "What such a probability meant on the {split} images does not hold for an image out of distribution.",
        "Ce qu’une telle probabilité signifiait sur les images de {split} ne vaut pas hors distribution.",
    ),
    "no_report": (
        "This run has no report that would tell what such a probability meant on test images.",
        "Cet entraînement n’a pas de rapport qui dirait ce qu’une telle probabilité signifiait sur des images de test.",
    ),
    "test": ("test", "test"),
    "validation": ("validation", "validation"),
    "unreadable": ("This image cannot be read", "Cette image est illisible"),
    "waiting": ("Predicting…", "Calcul en cours…"),
    "progress": ("{done} of {all} images answered", "{done} images sur {all} traitées"),
    "no_answer": (
        "The program does not answer. Is it still running?",
        "Le programme ne répond pas. Est-il toujours en marche ?",
    ),
    # refused requests
    "no_form": (
        "The request holds no form with images, or was cut off. Send multipart/form-data with the field images.",
        "La requête ne contient pas de formulaire avec des images, ou elle est incomplète. Envoyez du "
        "multipart/form-data avec le champ images.",
    ),
    "no_images": ("No image was chosen.", "Aucune image n’a été choisie."),
    "too_many": (
        "More than {images} images at a time are too many. Send them in several parts.",
        "Plus de {images} images à la fois, c’est trop. Envoyez-les en plusieurs fois.",
    ),
    "too_large": (
        "More than {megabytes} MB at a time are too many. Send fewer or smaller images.",
        "Plus de {megabytes} Mo à la fois, c’est trop. Envoyez moins d’images ou des images plus petites.",
    ),
    "too_slow": (
        "The images did not arrive in time. Send them again.",
        "Les images ne sont pas arrivées à temps. Renvoyez-les.",
    ),
    "busy": (
        "The program is answering too many images at once. Try again in a minute.",
        "Le programme traite trop d’images à la fois. Réessayez dans une minute.",
    ),
    "failed": (
        "The prediction failed. The program’s terminal names the error.",
        "La prédiction a échoué. Le terminal du programme indique l’erreur.",
    ),
    "foreign": ("Another website may not send images here.", "Un autre site ne peut pas envoyer d’images ici."),
    "unknown_host": (
        "This name is not one of the page’s own. Open the address that the terminal shows.",
        "Ce nom n’est pas celui de la page. Ouvrez l’adresse que le terminal affiche.",
    ),
    "missing": ("There is no such page.", "Cette page n’existe pas."),
    # the JSON interface
    "interface": ("For programs", "Pour les programmes"),
    "interface_lead": (
        "What a program can ask, generated from {document}, which tools can read.",
        "Ce qu’un programme peut demander, tiré de {document}, que des outils savent lire.",
    ),
    "back": ("To the page", "Vers la page"),
}
REASONS = {  # beginnings of the reasons why an image cannot be read → French
    "not an image in a format that can be read": "ce n’est pas une image dans un format connu",
    "a HEIC image": "une image HEIC ; pour les lire : pip install 'melanoma-pl[heic]'",
    "hundreds of millions of pixels": "des centaines de millions de pixels, plus que n’en prend aucun appareil",
    "its pixels are floating-point": "ses pixels sont des nombres à virgule ; enregistrez-la en 8 bits par canal",
}
SIDES = re.compile(r"(\d+×\d+) pixels, more than any camera takes")
CLASSES = {  # name of a class → French singular and plural
    "benign": ("bénigne", "bénignes"),
    "malignant": ("maligne", "malignes"),
    "melanoma": ("mélanome", "des mélanomes"),
    "nevus": ("nævus", "des nævus"),
    "synthetic": ("synthétique", "synthétiques"),
}


@dataclass(frozen=True)
class Language:
    """A language of the page."""

    code: Code

    def say(self, key: str, **values: object) -> str:
        """Return a sentence with its values."""
        return PHRASES[key][self.code == "fr"].format(**values)

    def number(self, value: float, digits: int) -> str:
        """Return a number, with a comma in French."""
        shown = f"{value:.{digits}f}"
        return shown.replace(".", ",") if self.code == "fr" else shown

    def class_name(self, name: str, *, is_plural: bool = False) -> str:
        """Return a class by its name in this language, if it is a common one."""
        return CLASSES.get(name, (name, name))[is_plural] if self.code == "fr" else readable(name)

    def reason(self, reason: str) -> str:
        """Return why an image cannot be read; unusual damages are told in English."""
        if self.code == "en":
            return readable(reason)
        if found := SIDES.match(reason):
            return f"{found[1]} pixels, plus que n’en prend aucun appareil"
        return next((french for start, french in REASONS.items() if reason.startswith(start)), readable(reason))


def choose_language(accepted: str) -> Language:
    """Return the language that an `Accept-Language` header prefers: French if it comes before English."""
    weights: dict[str, float] = {}
    for position, part in enumerate(accepted.split(",")):
        name, _, options = part.strip().partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", options)
        code = name.strip().lower().partition("-")[0]
        weights.setdefault(code, (float(weight[1]) if weight else 1.0) - position / 1e6)
    return Language("fr" if weights.get("fr", 0) > max(weights.get("en", 0), 0) else "en")
