// The words in which every kernel is written, for OpenCL C 1.2 and for CUDA (NVRTC). A kernel's source is this file and
// then the kernel's, as one string; no include path is needed. VEC (1, 2, 4 or 8) is how many lanes a UVEC holds; it is
// given as a compiler option and must be 1 under CUDA.

#ifndef VEC
#define VEC 1
#endif

#ifdef __CUDACC__

#if VEC != 1
#error "CUDA has no integer vectors to compute with: VEC must be 1"
#endif
typedef unsigned int u32;
typedef unsigned long long u64;
#define KERNEL extern "C" __global__ void
// GROUPS(threads, count): groups have so many threads, and a multiprocessor shall hold at least so many of them.
#define GROUPS(threads, count) __launch_bounds__((threads), (count))
#define DEVICE static __device__ __forceinline__
#define INLINED DEVICE
#define GLOBAL
#define CONSTANT __constant__ const
#define GID0() ((u32)(blockIdx.x * blockDim.x + threadIdx.x))
#define GSZ0() ((u32)(gridDim.x * blockDim.x))
#define ATOMIC_INC(address) atomicAdd((address), 1u)
// HIDDEN(x): x, which the compiler's first half then takes for unknown. OPAQUE(x) makes the variable x so.
DEVICE u32 hidden(u32 x) {
    u32 same;
    asm("mov.b32 %0, %1;" : "=r"(same) : "r"(x));
    return same;
}
#define HIDDEN(x) hidden(x)
#define OPAQUE(x) asm volatile("" : "+r"(x))
#define ROTR32(x, n) __funnelshift_r((x), (x), (n))
#define BSWAP32(x) __byte_perm((x), 0u, 0x0123u)
// The compiler makes one LOP3 of either.
#define CHOOSE(e, f, g) ((g) ^ ((e) & ((f) ^ (g))))
#define MAJORITY(a, b, c) (((a) & ((b) | (c))) | ((b) & (c)))

#else // OpenCL

typedef uint u32;
typedef ulong u64;
#define KERNEL __kernel void
#define GROUPS(threads, count)
#define DEVICE static inline
#define INLINED __attribute__((always_inline)) static inline // a call would pass structs through memory
#define GLOBAL __global
#define CONSTANT __constant
#define GID0() ((u32)get_global_id(0))
#define GSZ0() ((u32)get_global_size(0))
#define ATOMIC_INC(address) atomic_inc((volatile __global u32 *)(address))
#define HIDDEN(x) (x)
#define OPAQUE(x)
#define ROTR32(x, n) rotate((x), (UVEC)(32u - (n)))
#define BSWAP32(x) (rotate((x) & (UVEC)(0x00ff00ffu), (UVEC)(24u)) | rotate((x) & (UVEC)(0xff00ff00u), (UVEC)(8u)))
#if VEC == 1
#define CHOOSE(e, f, g) bitselect((g), (f), (e))
#define MAJORITY(a, b, c) bitselect((a), (c), (a) ^ (b))
#else
#define CHOOSE(e, f, g) ((g) ^ ((e) & ((f) ^ (g))))
#endif

#endif

// In a few steps, where any() takes one for each lane.
#define ANY_ZERO_OF_2(x) (min((x).s0, (x).s1) == 0u)
#define ANY_ZERO_OF_4(x) ANY_ZERO_OF_2(min((x).lo, (x).hi))

// UVEC: VEC lanes of u32. SPLAT: one value in every lane. LANE_NUMBERS: 0, 1, ... ANY_ZERO: whether any lane is zero.
// EACH_LANE(F, x): F(x of lane i, i) for every lane.
#if VEC == 1
typedef u32 UVEC;
#define SPLAT(x) (x)
#define LANE_NUMBERS 0u
#define ANY_ZERO(x) ((x) == 0u)
#define EACH_LANE(F, x) F(x, 0u)
#elif VEC == 2
typedef uint2 UVEC;
#define SPLAT(x) ((UVEC)(x))
#define LANE_NUMBERS ((UVEC)(0, 1))
#define ANY_ZERO(x) ANY_ZERO_OF_2(x)
#define EACH_LANE(F, x) F((x).s0, 0u) F((x).s1, 1u)
#elif VEC == 4
typedef uint4 UVEC;
#define SPLAT(x) ((UVEC)(x))
#define LANE_NUMBERS ((UVEC)(0, 1, 2, 3))
#define ANY_ZERO(x) ANY_ZERO_OF_4(x)
#define EACH_LANE(F, x) F((x).s0, 0u) F((x).s1, 1u) F((x).s2, 2u) F((x).s3, 3u)
#elif VEC == 8
typedef uint8 UVEC;
#define SPLAT(x) ((UVEC)(x))
#define LANE_NUMBERS ((UVEC)(0, 1, 2, 3, 4, 5, 6, 7))
#define ANY_ZERO(x) ANY_ZERO_OF_4(min((x).lo, (x).hi))
#define EACH_LANE(F, x)                                                                                                \
    F((x).s0, 0u) F((x).s1, 1u) F((x).s2, 2u) F((x).s3, 3u) F((x).s4, 4u) F((x).s5, 5u) F((x).s6, 6u) F((x).s7, 7u)
#else
#error "VEC must be 1, 2, 4 or 8"
#endif

// U32X4: four words that are loaded and stored at once, with +, ^ and a rotation by a constant on each of them. TURN4_n:
// the words moved n places on, round the end.
#ifdef __CUDACC__
typedef uint4 U32X4;
DEVICE U32X4 operator+(const U32X4 x, const U32X4 y) { return make_uint4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w); }
DEVICE U32X4 operator^(const U32X4 x, const U32X4 y) { return make_uint4(x.x ^ y.x, x.y ^ y.y, x.z ^ y.z, x.w ^ y.w); }
#define MAKE4(x, y, z, w) make_uint4((x), (y), (z), (w))
#define ROTL4(v, n)                                                                                                    \
    make_uint4(ROTR32((v).x, 32 - (n)), ROTR32((v).y, 32 - (n)), ROTR32((v).z, 32 - (n)), ROTR32((v).w, 32 - (n)))
#define TURN4_1(v) make_uint4((v).y, (v).z, (v).w, (v).x)
#define TURN4_2(v) make_uint4((v).z, (v).w, (v).x, (v).y)
#define TURN4_3(v) make_uint4((v).w, (v).x, (v).y, (v).z)
#define NOT_UNROLLED _Pragma("unroll 1")
#else
typedef uint4 U32X4;
#define MAKE4(x, y, z, w) ((U32X4)((x), (y), (z), (w)))
#define ROTL4(v, n) rotate((v), (U32X4)(n))
#define TURN4_1(v) ((v).yzwx)
#define TURN4_2(v) ((v).zwxy)
#define TURN4_3(v) ((v).wxyz)
#define NOT_UNROLLED
#endif

// F32X4: four floats that LOAD4 loads at once, from an address that is a multiple of 16 bytes.
typedef float4 F32X4;
#ifdef __CUDACC__
#define LOAD4(address) (*(const F32X4 *)(address))
#else
#define LOAD4(address) vload4(0, (address))
#endif

// Single precision. +, - and * are IEEE's on every device, and are never fused: OpenCL kernels say so below, CUDA's
// compiler is given --fmad=false. Where fusing is wanted it is written FFMA. FDIV and FSQRT are correctly rounded: OpenCL's
// compiler is given -cl-fp32-correctly-rounded-divide-sqrt. There are no others: no kernel uses the device's libm.
// FFLOOR is exact. F2U: the integer part, for 0 <= x < 2^32. U2F: rounded to nearest.
#ifdef __CUDACC__
#define FFMA(a, b, c) __fmaf_rn((a), (b), (c))
#define FDIV(a, b) __fdiv_rn((a), (b))
#define FSQRT(x) __fsqrt_rn(x)
#define FABS(x) fabsf(x)
#define FFLOOR(x) floorf(x)
#define F2U(x) __float2uint_rz(x)
#define U2F(x) __uint2float_rn(x)
#define U2BITS(x) __uint_as_float(x)
#define MULHI(a, b) __umulhi((a), (b))
#else
#pragma OPENCL FP_CONTRACT OFF
#define FFMA(a, b, c) fma((a), (b), (c))
#define FDIV(a, b) ((a) / (b))
#define FSQRT(x) sqrt(x)
#define FABS(x) fabs(x)
#define FFLOOR(x) floor(x)
#define F2U(x) convert_uint_rtz(x)
#define U2F(x) convert_float_rte(x)
#define U2BITS(x) as_float(x)
#define MULHI(a, b) mul_hi((u32)(a), (u32)(b))
#endif
