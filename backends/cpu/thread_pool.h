// The one thread pool of the CPU backend: worker threads that pick up numbered tasks of one
// parallel region at a time. Created at first use and never destroyed; a forked child makes a new
// one. Kernels see it through rt.h only.
#pragma once

#include <string>

namespace tinytorch::cpu {

// Processors this process may use: the smaller of its affinity mask and the CPU quota of its
// cgroups (v1 and v2), at least 1.
int usable_processors();
// In words: "2 (affinity 2, quota none)".
std::string describe_processors();

// Width of the pool, the calling thread included. 0 goes back to usable_processors(). Takes effect
// at the next region.
void set_num_threads(int threads);
int num_threads() noexcept;

// Worker threads alive in this process; for tests.
int workers_started() noexcept;

}  // namespace tinytorch::cpu
