"""What the pipeline scripts share: the stage decorator, the evaluation and the list of experiments."""
