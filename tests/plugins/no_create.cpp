// A descriptor without a create function.
#include <tinytorch/backend/backend.h>

TT_BACKEND_PLUGIN(nullptr);
