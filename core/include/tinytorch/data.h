// Datasets, batches and readers.
#pragma once

#include <tinytorch/data/dataset.h>
#include <tinytorch/data/idx.h>
#include <tinytorch/data/loader.h>
