// A shared object that has the name of a plugin and is none.
extern "C" __attribute__((visibility("default"))) int tinytorch_something_else() { return 1; }
