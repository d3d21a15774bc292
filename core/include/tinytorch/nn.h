// Modules, layers, losses and initialisation.
#pragma once

#include <tinytorch/nn/activation.h>
#include <tinytorch/nn/conv.h>
#include <tinytorch/nn/init.h>
#include <tinytorch/nn/linear.h>
#include <tinytorch/nn/loss.h>
#include <tinytorch/nn/module.h>
#include <tinytorch/nn/norm.h>
#include <tinytorch/nn/sequential.h>
#include <tinytorch/nn/state_dict.h>
