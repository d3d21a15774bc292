// All ops. Each family has a header of its own.
#pragma once

#include <tinytorch/ops/attention.h>
#include <tinytorch/ops/conv.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/ops/elementwise.h>
#include <tinytorch/ops/index.h>
#include <tinytorch/ops/loss.h>
#include <tinytorch/ops/matmul.h>
#include <tinytorch/ops/norm.h>
#include <tinytorch/ops/pool.h>
#include <tinytorch/ops/random.h>
#include <tinytorch/ops/reduce.h>
#include <tinytorch/ops/softmax.h>
#include <tinytorch/ops/view.h>
