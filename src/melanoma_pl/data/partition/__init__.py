"""`melanoma-data split`: cut any labelled dataset into train, test and folds, with no lesion in two of them."""
