// The vector types of the device language, with its sizes and alignments, for the CPU twin. Only
// plain data: 16-byte access goes through load_pack and store_pack of kernels/cuda.
#pragma once

#define TT_TWIN_VECTORS(T, name)                                     \
  struct name##1 {                                                   \
    T x;                                                             \
  };                                                                 \
  inline name##1 make_##name##1(T x) { return {x}; }                 \
  struct alignas(2 * sizeof(T)) name##2 {                            \
    T x, y;                                                          \
  };                                                                 \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  struct name##3 {                                                   \
    T x, y, z;                                                       \
  };                                                                 \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) name##4 {  \
    T x, y, z, w;                                                    \
  };                                                                 \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

TT_TWIN_VECTORS(signed char, char)
TT_TWIN_VECTORS(unsigned char, uchar)
TT_TWIN_VECTORS(short, short)
TT_TWIN_VECTORS(unsigned short, ushort)
TT_TWIN_VECTORS(int, int)
TT_TWIN_VECTORS(unsigned int, uint)
TT_TWIN_VECTORS(long long, longlong)
TT_TWIN_VECTORS(unsigned long long, ulonglong)
TT_TWIN_VECTORS(float, float)
TT_TWIN_VECTORS(double, double)
#undef TT_TWIN_VECTORS

struct dim3 {
  unsigned int x = 1, y = 1, z = 1;
};
