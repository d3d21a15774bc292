// Compares gradients of a convolutional net with finite differences.
#pragma once

#include <tinytorch/tinytorch.h>

#include "examples/validate/part.h"

namespace validate {

// Compares the f32 gradient of every weight of net's Conv2d layers with central differences of the
// same net in f64, under the mean squared error against batch.y. Adds a note with the counts and
// the worst difference, or failures. Clears the gradients.
void check_conv_gradients(tinytorch::Sequential& net, const tinytorch::Batch& batch,
                          PartResult& result);

}  // namespace validate
