// Optimizers and gradient clipping.
#pragma once

#include <tinytorch/optim/adam.h>
#include <tinytorch/optim/clip.h>
#include <tinytorch/optim/optimizer.h>
#include <tinytorch/optim/sgd.h>
