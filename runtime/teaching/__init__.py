"""Teaching: a model of somebody's own classes, learned on the appliance from a few photos (transfer learning).

A frozen backbone turns each photo into features by the same kernels that serve; a logistic regression on them is the
head, which takes the place of the backbone's own in its ONNX file.
"""
