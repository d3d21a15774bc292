// The nets of parts 1 to 3, on the thread's default device; a generator gives initial values.
#pragma once

#include <tinytorch/nn.h>
#include <tinytorch/random.h>

namespace validate {

tinytorch::Sequential xor_net(const tinytorch::Generator& generator);      // [N, 2] -> [N, 1]
tinytorch::Sequential stripes_net(const tinytorch::Generator& generator);  // [N, 1, 8, 8] -> [N, 3]
tinytorch::Sequential digits_net();  // [N, 1, 8, 8] -> [N, 10]
tinytorch::Sequential mnist_net();   // [N, 1, 28, 28] -> [N, 10]

}  // namespace validate
