"""`melanoma-data split`: cut any labelled dataset into train, test and folds without parting a lesion."""
