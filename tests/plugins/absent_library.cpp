// The library that the plugin `needs_library` is linked with, and that is not there at run time.
extern "C" __attribute__((visibility("default"))) int tinytorch_absent_answer() { return 42; }
