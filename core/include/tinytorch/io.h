// Files: safetensors, and checkpoints of models and optimizers made of them.
#pragma once

#include <tinytorch/io/checkpoint.h>
#include <tinytorch/io/safetensors.h>
