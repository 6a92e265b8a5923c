"""German and French for what is read most: labels of panels, buttons, settings and values.

Blender looks a text up by itself where it draws it. Sentences with names or numbers in them, such as messages, stay
English. To add a language, add a column here.
"""

from typing import Final

import bpy

LANGUAGES: Final = ("de", "fr")
TEXTS: Final[dict[str, tuple[str, str]]] = {  # English, as in the code: the languages in that order
    # panels
    "Material": ("Material", "Matériau"),
    "Variations": ("Variationen", "Variations"),
    "Library": ("Bibliothek", "Bibliothèque"),
    "Jobs": ("Aufträge", "Tâches"),
    "History": ("Verlauf", "Historique"),
    "Stylize": ("Stilisieren", "Styliser"),
    "Animation": ("Animation", "Animation"),
    "Texserver Presets": ("Texserver-Vorgaben", "Préréglages Texserver"),
    # buttons
    "Generate": ("Erzeugen", "Générer"),
    "Material from Picture": ("Material aus Bild", "Matériau depuis une image"),
    "Material from Picture...": ("Material aus Bild ...", "Matériau depuis une image..."),
    "Material from Image": ("Material aus Bild der Datei", "Matériau depuis une image du fichier"),
    "Material from This Image": ("Material aus diesem Bild", "Matériau depuis cette image"),
    "From Object's Textures": ("Aus den Texturen des Objekts", "Depuis les textures de l'objet"),
    "From Clipboard": ("Aus der Zwischenablage", "Depuis le presse-papiers"),
    "From Image": ("Aus einem Bild der Datei", "Depuis une image du fichier"),
    "Learn Material": ("Material lernen", "Apprendre le matériau"),
    "Learn": ("Lernen", "Apprendre"),
    "Fetch": ("Holen", "Récupérer"),
    "Whole Picture": ("Ganzes Bild", "Image entière"),
    "Generate Another Seed": ("Mit anderem Startwert erzeugen", "Générer une autre graine"),
    "Again": ("Noch einmal", "Encore"),
    "Use This One": ("Diese verwenden", "Utiliser celle-ci"),
    "Next Variations": ("Weitere Variationen", "Variations suivantes"),
    "Next": ("Weitere", "Suivantes"),
    "Try": ("Anprobieren", "Essayer"),
    "Try the Next": ("Die nächste anprobieren", "Essayer la suivante"),
    "Keep": ("Behalten", "Garder"),
    "Take Off": ("Wieder abnehmen", "Retirer"),
    "Another Piece": ("Anderes Stück", "Autre morceau"),
    "Usual Piece": ("Übliches Stück", "Morceau habituel"),
    "Publish Library": ("Bibliothek veröffentlichen", "Publier la bibliothèque"),
    "Update Library": ("Bibliothek aktualisieren", "Mettre à jour la bibliothèque"),
    "Remove Those Without a Model": ("Ohne Modell entfernen", "Retirer celles sans modèle"),
    "Show in Asset Browser": ("Im Asset-Browser zeigen", "Montrer dans l'explorateur"),
    "Use Its Model and Seed": ("Modell und Startwert nehmen", "Prendre modèle et graine"),
    "Assign to Faces": ("Auf Flächen legen", "Appliquer aux faces"),
    "Favourite": ("Favorit", "Favori"),
    "Recipes": ("Rezepte", "Recettes"),
    "Paint Missing": ("Fehlende malen", "Peindre les manquantes"),
    "Recipes Only": ("Nur Rezepte", "Recettes seules"),
    "Keep Pictures": ("Bilder behalten", "Garder les images"),
    "Retry": ("Wiederholen", "Réessayer"),
    "Show": ("Zeigen", "Afficher"),
    "Show Variations": ("Variationen zeigen", "Afficher les variations"),
    "Roll the Dice": ("Würfeln", "Lancer les dés"),
    "Refresh": ("Aktualisieren", "Actualiser"),
    "Cancel": ("Abbrechen", "Annuler"),
    "Cancel All": ("Alle abbrechen", "Tout annuler"),
    "Clear": ("Leeren", "Vider"),
    "Clear History": ("Verlauf leeren", "Vider l'historique"),
    "Mark as Asset": ("Als Asset markieren", "Marquer comme ressource"),
    "Export Set": ("Satz exportieren", "Exporter le jeu"),
    "Unwrap": ("Abwickeln", "Déplier"),
    "Measure": ("Messen", "Mesurer"),
    "Model's Own Scale": ("Maßstab des Modells", "Échelle du modèle"),
    "Measure UV Map": ("UV-Map messen", "Mesurer la carte UV"),
    "Upgrade Material": ("Material aktualisieren", "Mettre à jour le matériau"),
    "Material Preview": ("Materialvorschau", "Aperçu de matériau"),
    "Set Up Server": ("Server einrichten", "Installer le serveur"),
    "Update Server": ("Server aktualisieren", "Mettre à jour le serveur"),
    "Remove Server": ("Server entfernen", "Supprimer le serveur"),
    "Cancel Setup": ("Einrichten abbrechen", "Annuler l'installation"),
    "Start Local Server": ("Lokalen Server starten", "Démarrer le serveur local"),
    "Stop Local Server": ("Lokalen Server anhalten", "Arrêter le serveur local"),
    "Copy": ("Kopieren", "Copier"),
    "Dismiss": ("Ausblenden", "Masquer"),
    "Preferences": ("Einstellungen", "Préférences"),
    "Compare": ("Vergleichen", "Comparer"),
    "Stylize Animation": ("Animation stilisieren", "Styliser l'animation"),
    "Add Texserver Preset": ("Texserver-Vorgabe hinzufügen", "Ajouter un préréglage Texserver"),
    # settings
    "Model": ("Modell", "Modèle"),
    "Search": ("Suchen", "Rechercher"),
    "Category": ("Art", "Catégorie"),
    "All": ("Alle", "Tous"),
    "Favourites": ("Favoriten", "Favoris"),
    "Gallery": ("Galerie", "Galerie"),
    "Size": ("Größe", "Taille"),
    "Width": ("Breite", "Largeur"),
    "Height": ("Höhe", "Hauteur"),
    "Seed": ("Startwert", "Graine"),
    "Seeds": ("Startwerte", "Graines"),
    "Maps": ("Maps", "Textures"),
    "Colour": ("Farbe", "Couleur"),
    "Normal": ("Normale", "Normale"),
    "Rough": ("Rauheit", "Rugosité"),
    "Metal": ("Metall", "Métal"),
    "Other": ("Andere", "Autre"),
    "Target": ("Ziel", "Cible"),
    "Update or New": ("Ersetzen oder neu", "Remplacer ou nouveau"),
    "New Material": ("Neues Material", "Nouveau matériau"),
    "Into the Active Material": ("In das aktive Material", "Dans le matériau actif"),
    "All Selected": ("Alle ausgewählten", "Toute la sélection"),
    "Replace Links": ("Verbindungen ersetzen", "Remplacer les liens"),
    "Mapping": ("Projektion", "Projection"),
    "Box": ("Quader", "Boîte"),
    "Object": ("Objekt", "Objet"),
    "Blend": ("Übergang", "Fondu"),
    "Texels / m": ("Texel / m", "Texels / m"),
    "Displace Surface": ("Oberfläche versetzen", "Déplacer la surface"),
    "Displacement": ("Versatz", "Déplacement"),
    "A new material begins with:": ("Ein neues Material beginnt mit:", "Un nouveau matériau commence par :"),
    # a material from a picture
    "Source": ("Quelle", "Source"),
    "Files": ("Dateien", "Fichiers"),
    "Object's Textures": ("Texturen des Objekts", "Textures de l'objet"),
    "Clipboard": ("Zwischenablage", "Presse-papiers"),
    "Name": ("Name", "Nom"),
    "Picture's Width": ("Breite des Bildes", "Largeur de l'image"),
    "Crop and Straighten": ("Zuschneiden und entzerren", "Recadrer et redresser"),
    "Guess Relief and Gloss": ("Relief und Glanz schätzen", "Deviner relief et brillance"),
    "Replace": ("Ersetzen", "Remplacer"),
    "Learned on the server:": ("Auf dem Server gelernt:", "Appris sur le serveur :"),
    "Drag the corners onto the part to learn. Drag inside to move it": (
        "Die Ecken auf den Teil ziehen, der gelernt wird. Innen ziehen verschiebt ihn",
        "Placez les coins sur la partie à apprendre. Tirez à l'intérieur pour la déplacer",
    ),
    # values of a material
    "Offset X": ("Versatz X", "Décalage X"),
    "Offset Y": ("Versatz Y", "Décalage Y"),
    "Rotation": ("Drehung", "Rotation"),
    "Hue": ("Farbton", "Teinte"),
    "Value": ("Helligkeit", "Luminosité"),
    "AO": ("AO", "AO"),
    "Roughness Min": ("Rauheit min.", "Rugosité min."),
    "Roughness Max": ("Rauheit max.", "Rugosité max."),
    "Vary per Object": ("Je Objekt anders", "Varier par objet"),
    "Normal Strength": ("Normalenstärke", "Force des normales"),
    # styles
    "Style": ("Stil", "Style"),
    "Content": ("Inhalt", "Contenu"),
    "Image": ("Bild", "Image"),
    "Render": ("Rendern", "Rendu"),
    "Viewport": ("Ansicht", "Vue"),
    "Strength": ("Stärke", "Force"),
    "Keep Colours": ("Farben behalten", "Garder les couleurs"),
    "After Every Render": ("Nach jedem Rendern", "Après chaque rendu"),
    "Frames": ("Bilder", "Images"),
    "Existing Sequence": ("Vorhandene Bildfolge", "Séquence existante"),
    "Sequence": ("Bildfolge", "Séquence"),
    "Output": ("Ausgabe", "Sortie"),
    # states and short messages
    "Nothing painted yet": ("Noch nichts gemalt", "Rien de peint"),
    "Drag materials from the Asset Browser onto objects.": (
        "Materialien aus dem Asset-Browser auf Objekte ziehen.",
        "Glisser les matériaux de l'explorateur sur des objets.",
    ),
    "Nothing found": ("Nichts gefunden", "Rien trouvé"),
    "Click a seed to try it on the object": (
        "Startwert anklicken, um ihn anzuprobieren",
        "Cliquer une graine pour l'essayer",
    ),
    "Each object shows another piece of it.": (
        "Jedes Objekt zeigt ein anderes Stück.",
        "Chaque objet en montre un autre morceau.",
    ),
    "None yet.": ("Noch keine.", "Aucune."),
    "Finished textures are listed here.": ("Fertige Texturen stehen hier.", "Les textures finies sont listées ici."),
    # preferences
    "Pairing Line": ("Kopplungszeile", "Ligne d'appairage"),
    "Server on This Computer": ("Server auf diesem Rechner", "Serveur sur cet ordinateur"),
    "Device": ("Gerät", "Périphérique"),
    "Processor": ("Prozessor", "Processeur"),
    "Graphics Card (CUDA)": ("Grafikkarte (CUDA)", "Carte graphique (CUDA)"),
    "Folder": ("Ordner", "Dossier"),
    "Folder of Wheels": ("Ordner mit Wheels", "Dossier de wheels"),
    "Command": ("Befehl", "Commande"),
    "Models": ("Modelle", "Modèles"),
    "Textures": ("Texturen", "Textures"),
    "Beside the Blend File": ("Neben der Blend-Datei", "À côté du fichier Blend"),
    "Pack into the Blend File": ("In die Blend-Datei packen", "Empaqueter dans le fichier Blend"),
    "Library Folder": ("Ordner der Bibliothek", "Dossier de la bibliothèque"),
    "Library Size": ("Größe in der Bibliothek", "Taille dans la bibliothèque"),
    "Thumbnails": ("Vorschaubilder", "Vignettes"),
    "Format": ("Format", "Format"),
    "Cache Folder": ("Cache-Ordner", "Dossier de cache"),
    "Cache (GB)": ("Cache (GB)", "Cache (Go)"),
    "Give Up After (s)": ("Aufgeben nach (s)", "Abandonner après (s)"),
    "Allow Online Access": ("Online-Zugriff erlauben", "Autoriser l'accès en ligne"),
}
_CONTEXTS: Final = ("*", "Operator")  # Blender's, of labels and of buttons


def messages() -> dict[str, dict[tuple[str, str], str]]:
    """As Blender takes them: by language, then by context and English text."""
    return {
        language: {(context, text): told[column] for text, told in TEXTS.items() for context in _CONTEXTS}
        for column, language in enumerate(LANGUAGES)
    }


def register() -> None:
    """When the extension is enabled."""
    bpy.app.translations.register(__name__, messages())


def unregister() -> None:
    """When it is disabled."""
    bpy.app.translations.unregister(__name__)
