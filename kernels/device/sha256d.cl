// SHA-256d of a block header over a range of nonces, VEC * STEPS nonces a work item.
//
// The host works out what does not depend on the nonce (Job, in the order of `Prepared::device_words` in the crate of
// kinds) and rechecks each nonce reported. A nonce is reported when the last state word of its second hash has none of the
// bits of job.filter: that word is known after round 60, and the padding's constant words are folded into the rounds.

// How many times a work item tries VEC nonces, one after the other; given as a compiler option.
#ifndef STEPS
#define STEPS 1
#endif

typedef struct {
    u32 midstate[8];
    u32 after_round_3[8]; // words 0 and 4 still lack the nonce word
    u32 w16, w17, w18, w19, w31, w32;
    u32 filter;
    u32 hkw4, hkw5, hkw6, kw16, kw17; // round constant and word, with h where it is fixed, of the rounds so numbered
    u32 midstate_0_and_k63, midstate_4_less_0;
    u32 one, two_to_22, two_to_29;
} Job;

// An NVIDIA card has two pipes for integers, of equal width: one adds, shifts and does logic, the other multiplies and adds.
// The first has far more to do here, so some of it is put as multiplication. The factors come with the job because the
// compiler turns those it knows back into what they stand for. For the sake of whole three-way sums some constants are
// HIDDEN from the compiler's first half, which would split them over two sums.
#ifdef __CUDACC__
#define SHIFT_RIGHT_3(x) __umulhi((x), job.two_to_29)
#define SHIFT_RIGHT_10(x) __umulhi((x), job.two_to_22)
#define PLUS_FIXED(x, fixed) ((x) * job.one + (fixed))
#else
#define SHIFT_RIGHT_3(x) ((x) >> 3)
#define SHIFT_RIGHT_10(x) ((x) >> 10)
#define PLUS_FIXED(x, fixed) ((x) + (fixed))
#endif

#define BIG_SIGMA0(x) (ROTR32(x, 2) ^ ROTR32(x, 13) ^ ROTR32(x, 22))
#define BIG_SIGMA1(x) (ROTR32(x, 6) ^ ROTR32(x, 11) ^ ROTR32(x, 25))
#define SMALL_SIGMA0(x) (ROTR32(x, 7) ^ ROTR32(x, 18) ^ SHIFT_RIGHT_3(x))
#define SMALL_SIGMA1(x) (ROTR32(x, 17) ^ ROTR32(x, 19) ^ SHIFT_RIGHT_10(x))

// One round: d becomes the next e and h the next a; the next round names them one place further on. `hkw` is the sum of h,
// the round's constant and its message word.
// The sums begin with what is known first and end with what waits for the last round.
// Where there is a majority (or bitselect) instruction it is used; elsewhere `a ^ b` is kept, being the next `b ^ c`.
#ifdef MAJORITY
#define ROUND_OF(a, b, c, d, e, f, g, h, hkw)                                                                              \
    h = (hkw) + CHOOSE(e, f, g) + BIG_SIGMA1(e);                                                                    \
    d += h;                                                                                                            \
    h += BIG_SIGMA0(a) + MAJORITY(a, b, c);
#define BEGIN_ROUNDS(b, c)
#else
#define ROUND_OF(a, b, c, d, e, f, g, h, hkw)                                                                              \
    h = (hkw) + CHOOSE(e, f, g) + BIG_SIGMA1(e);                                                                    \
    d += h;                                                                                                            \
    a_xor_b = a ^ b;                                                                                                   \
    h += BIG_SIGMA0(a) + (b ^ (a_xor_b & b_xor_c));                                                                    \
    b_xor_c = a_xor_b;
#define BEGIN_ROUNDS(b, c)                                                                                             \
    a_xor_b = SPLAT(0u);                                                                                               \
    b_xor_c = b ^ c;
#endif
#define ROUND(a, b, c, d, e, f, g, h, kw) ROUND_OF(a, b, c, d, e, f, g, h, h + (kw))
// A round whose message word is fixed.
#define FIXED_ROUND(a, b, c, d, e, f, g, h, kw) ROUND_OF(a, b, c, d, e, f, g, h, PLUS_FIXED(h, kw))
// A round whose a nobody reads.
#define ROUND_FOR_E(d, e, f, g, h, kw) d += h + BIG_SIGMA1(e) + CHOOSE(e, f, g) + (kw);

#define FOUR_FIXED_A(k0, k1, k2, k3)                                                                                   \
    FIXED_ROUND(a, b, c, d, e, f, g, h, k0)                                                                            \
    FIXED_ROUND(h, a, b, c, d, e, f, g, k1)                                                                            \
    FIXED_ROUND(g, h, a, b, c, d, e, f, k2)                                                                            \
    FIXED_ROUND(f, g, h, a, b, c, d, e, k3)
#define FOUR_FIXED_E(k0, k1, k2, k3)                                                                                   \
    FIXED_ROUND(e, f, g, h, a, b, c, d, k0)                                                                            \
    FIXED_ROUND(d, e, f, g, h, a, b, c, k1)                                                                            \
    FIXED_ROUND(c, d, e, f, g, h, a, b, k2)                                                                            \
    FIXED_ROUND(b, c, d, e, f, g, h, a, k3)
#define FOUR_A(k0, k1, k2, k3)                                                                                         \
    ROUND(a, b, c, d, e, f, g, h, k0)                                                                                  \
    ROUND(h, a, b, c, d, e, f, g, k1)                                                                                  \
    ROUND(g, h, a, b, c, d, e, f, k2)                                                                                  \
    ROUND(f, g, h, a, b, c, d, e, k3)
#define FOUR_E(k0, k1, k2, k3)                                                                                         \
    ROUND(e, f, g, h, a, b, c, d, k0)                                                                                  \
    ROUND(d, e, f, g, h, a, b, c, k1)                                                                                  \
    ROUND(c, d, e, f, g, h, a, b, k2)                                                                                  \
    ROUND(b, c, d, e, f, g, h, a, k3)

// The schedule's next word takes the place of the word sixteen before it.
#define EXTEND(w, w1, w9, w14) w += SMALL_SIGMA1(w14) + w9 + SMALL_SIGMA0(w1);
#define EXTEND_0_TO_3                                                                                                  \
    EXTEND(w0, w1, w9, w14) EXTEND(w1, w2, w10, w15) EXTEND(w2, w3, w11, w0) EXTEND(w3, w4, w12, w1)
#define EXTEND_4_TO_7                                                                                                  \
    EXTEND(w4, w5, w13, w2) EXTEND(w5, w6, w14, w3) EXTEND(w6, w7, w15, w4) EXTEND(w7, w8, w0, w5)
#define EXTEND_8_TO_11                                                                                                 \
    EXTEND(w8, w9, w1, w6) EXTEND(w9, w10, w2, w7) EXTEND(w10, w11, w3, w8) EXTEND(w11, w12, w4, w9)
#define EXTEND_12_TO_15                                                                                                \
    EXTEND(w12, w13, w5, w10) EXTEND(w13, w14, w6, w11) EXTEND(w14, w15, w7, w12) EXTEND(w15, w0, w8, w13)
#define ROUNDS_32_TO_47                                                                                                \
    FOUR_A(0x27b70a85u + w0, 0x2e1b2138u + w1, 0x4d2c6dfcu + w2, 0x53380d13u + w3)                                     \
    EXTEND_4_TO_7                                                                                                      \
    FOUR_E(0x650a7354u + w4, 0x766a0abbu + w5, 0x81c2c92eu + w6, 0x92722c85u + w7)                                     \
    EXTEND_8_TO_11                                                                                                     \
    FOUR_A(0xa2bfe8a1u + w8, 0xa81a664bu + w9, 0xc24b8b70u + w10, 0xc76c51a3u + w11)                                   \
    EXTEND_12_TO_15                                                                                                    \
    FOUR_E(0xd192e819u + w12, 0xd6990624u + w13, 0xf40e3585u + w14, 0x106aa070u + w15)
#define ROUNDS_48_TO_55                                                                                                \
    EXTEND_0_TO_3                                                                                                      \
    FOUR_A(0x19a4c116u + w0, 0x1e376c08u + w1, 0x2748774cu + w2, 0x34b0bcb5u + w3)                                     \
    EXTEND_4_TO_7                                                                                                      \
    FOUR_E(0x391c0cb3u + w4, 0x4ed8aa4au + w5, 0x5b9cca4fu + w6, 0x682e6ff3u + w7)

// The last state word of the second hash. `nonce` holds nonces with their bytes swapped.
INLINED UVEC last_state_word(const Job job, const UVEC nonce) {
#ifndef MAJORITY
    UVEC a_xor_b, b_xor_c;
#endif

    // The header's second block, from round 4 on. Its message words 4 to 15 are padding.
    UVEC e = SPLAT(job.after_round_3[0]) + nonce;
    UVEC f = SPLAT(job.after_round_3[1]);
    UVEC g = SPLAT(HIDDEN(job.after_round_3[2]));
    UVEC h = SPLAT(job.after_round_3[3]);
    UVEC a = SPLAT(job.after_round_3[4]) + nonce;
    UVEC b = SPLAT(job.after_round_3[5]);
    UVEC c = SPLAT(HIDDEN(job.after_round_3[6]));
    UVEC d = SPLAT(job.after_round_3[7]);
    BEGIN_ROUNDS(f, g)
    ROUND_OF(e, f, g, h, a, b, c, d, SPLAT(job.hkw4))
    ROUND_OF(d, e, f, g, h, a, b, c, SPLAT(job.hkw5))
    ROUND_OF(c, d, e, f, g, h, a, b, SPLAT(job.hkw6))
    ROUND(b, c, d, e, f, g, h, a, 0xab1c5ed5u)
    FOUR_FIXED_A(0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u)
    FOUR_FIXED_E(0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u + 640u)

    UVEC w0 = SPLAT(job.w16);
    UVEC w1 = SPLAT(job.w17);
    UVEC w2 = SPLAT(job.w18) + SMALL_SIGMA0(nonce);
    UVEC w3 = SPLAT(job.w19) + nonce;
    FOUR_A(job.kw16, job.kw17, 0x0fc19dc6u + w2, 0x240ca1ccu + w3)
    UVEC w4 = SMALL_SIGMA1(w2) + 0x80000000u;
    UVEC w5 = SMALL_SIGMA1(w3);
    UVEC w6 = SMALL_SIGMA1(w4) + 640u;
    UVEC w7 = SMALL_SIGMA1(w5) + w0;
    FOUR_E(0x2de92c6fu + w4, 0x4a7484aau + w5, 0x5cb0a9dcu + w6, 0x76f988dau + w7)
    UVEC w8 = SMALL_SIGMA1(w6) + w1;
    UVEC w9 = SMALL_SIGMA1(w7) + w2;
    UVEC w10 = SMALL_SIGMA1(w8) + w3;
    UVEC w11 = SMALL_SIGMA1(w9) + w4;
    FOUR_A(0x983e5152u + w8, 0xa831c66du + w9, 0xb00327c8u + w10, 0xbf597fc7u + w11)
    UVEC w12 = SMALL_SIGMA1(w10) + w5;
    UVEC w13 = SMALL_SIGMA1(w11) + w6;
    UVEC w14 = SMALL_SIGMA1(w12) + w7 + HIDDEN(0x00a00055u); // small sigma 0 of 640
    UVEC w15 = SMALL_SIGMA1(w13) + w8 + job.w31;
    FOUR_E(0xc6e00bf3u + w12, 0xd5a79147u + w13, 0x06ca6351u + w14, 0x14292967u + w15)
    w0 = SMALL_SIGMA1(w14) + w9 + job.w32;
    EXTEND(w1, w2, w10, w15)
    EXTEND(w2, w3, w11, w0)
    EXTEND(w3, w4, w12, w1)
    ROUNDS_32_TO_47
    ROUNDS_48_TO_55
    EXTEND_8_TO_11
    FOUR_A(0x748f82eeu + w8, 0x78a5636fu + w9, 0x84c87814u + w10, 0x8cc70208u + w11)
    EXTEND_12_TO_15
    ROUND(e, f, g, h, a, b, c, d, 0x90befffau + w12)
    ROUND(d, e, f, g, h, a, b, c, 0xa4506cebu + w13)
    ROUND(c, d, e, f, g, h, a, b, 0xbef9a3f7u + w14)
    ROUND(b, c, d, e, f, g, h, a, w15 + job.midstate_0_and_k63)

    // The second hash, of the first one's digest; its message words 8 to 15 are padding.
    w0 = a; // with its midstate word, which round 63 added
    w1 = b + job.midstate[1];
    w2 = c + job.midstate[2];
    w3 = d + job.midstate[3];
    w4 = e + job.midstate_4_less_0;
    w5 = f + job.midstate[5];
    w6 = g + job.midstate[6];
    w7 = h + job.midstate[7];
    a = SPLAT(0x6a09e667u);
    b = SPLAT(0xbb67ae85u);
    c = SPLAT(0x3c6ef372u);
    d = SPLAT(0xa54ff53au);
    e = SPLAT(0x510e527fu);
    f = SPLAT(0x9b05688cu);
    g = SPLAT(0x1f83d9abu);
    h = SPLAT(0x5be0cd19u);
    BEGIN_ROUNDS(b, c)
    FOUR_A(0x428a2f98u + w0, 0x71374491u + w1, 0xb5c0fbcfu + w2, 0xe9b5dba5u + w3)
    FOUR_E(0x3956c25bu + w4, 0x59f111f1u + w5, 0x923f82a4u + w6, 0xab1c5ed5u + w7)
    FOUR_FIXED_A(0xd807aa98u + 0x80000000u, 0x12835b01u, 0x243185beu, 0x550c7dc3u)
    FOUR_FIXED_E(0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u + 256u)
    w0 += SMALL_SIGMA0(w1);
    w1 += SMALL_SIGMA0(w2) + 0x00a00000u; // small sigma 1 of 256
    w2 += SMALL_SIGMA0(w3) + SMALL_SIGMA1(w0);
    w3 += SMALL_SIGMA0(w4) + SMALL_SIGMA1(w1);
    FOUR_A(0xe49b69c1u + w0, 0xefbe4786u + w1, 0x0fc19dc6u + w2, 0x240ca1ccu + w3)
    w4 += SMALL_SIGMA0(w5) + SMALL_SIGMA1(w2);
    w5 += SMALL_SIGMA0(w6) + SMALL_SIGMA1(w3);
    w6 += SMALL_SIGMA0(w7) + SMALL_SIGMA1(w4) + 256u;
    w7 += SMALL_SIGMA1(w5) + w0 + 0x11002000u; // small sigma 0 of 0x80000000
    FOUR_E(0x2de92c6fu + w4, 0x4a7484aau + w5, 0x5cb0a9dcu + w6, 0x76f988dau + w7)
    w8 = SMALL_SIGMA1(w6) + w1 + HIDDEN(0x80000000u);
    w9 = SMALL_SIGMA1(w7) + w2;
    w10 = SMALL_SIGMA1(w8) + w3;
    w11 = SMALL_SIGMA1(w9) + w4;
    FOUR_A(0x983e5152u + w8, 0xa831c66du + w9, 0xb00327c8u + w10, 0xbf597fc7u + w11)
    w12 = SMALL_SIGMA1(w10) + w5;
    w13 = SMALL_SIGMA1(w11) + w6;
    w14 = SMALL_SIGMA1(w12) + w7 + HIDDEN(0x00400022u); // small sigma 0 of 256
    w15 = SMALL_SIGMA1(w13) + w8 + SMALL_SIGMA0(w0) + 256u;
    FOUR_E(0xc6e00bf3u + w12, 0xd5a79147u + w13, 0x06ca6351u + w14, 0x14292967u + w15)
    EXTEND_0_TO_3
    ROUNDS_32_TO_47
    ROUNDS_48_TO_55
    EXTEND_8_TO_11
    EXTEND(w12, w13, w5, w10)
    ROUND(a, b, c, d, e, f, g, h, 0x748f82eeu + w8)
    ROUND_FOR_E(c, d, e, f, g, 0x78a5636fu + w9)
    ROUND_FOR_E(b, c, d, e, f, 0x84c87814u + w10)
    ROUND_FOR_E(a, b, c, d, e, 0x8cc70208u + w11)
    ROUND_FOR_E(h, a, b, c, d, 0x90befffau + w12)
    return h + 0x5be0cd19u;
}

#define REPORT(bits, lane)                                                                                             \
    if ((bits) == 0u && number + lane - first <= last_offset) {                                                        \
        u32 slot = ATOMIC_INC(found);                                                                                  \
        if (slot < FOUND_MAX) {                                                                                        \
            found[1u + slot] = number + lane;                                                                          \
        }                                                                                                              \
    }

// Tries the nonces from `first` to `first + last_offset`. found[0] counts the nonces reported, which follow in any order;
// those past FOUND_MAX are counted but not kept. Items past the range try nonces for nothing, so a launch should have few;
// VEC * STEPS times its items must not exceed 2^32.
KERNEL sha256d_scan(const Job job, const u32 first, const u32 last_offset, GLOBAL u32 *found) {
    const u32 begin = GID0() * (VEC * STEPS);
    const u32 end = begin + VEC * (STEPS - 1u); // where the last step begins
    const u32 last_number = first + end;
    u32 number = first + begin - VEC;
    do {
        UVEC bits;
        bool passes;
        do {
            number += VEC;
            OPAQUE(number); // or the compiler keeps two copies of it
            const UVEC numbers = SPLAT(number) + LANE_NUMBERS;
            bits = last_state_word(job, BSWAP32(numbers)) & job.filter;
            passes = ANY_ZERO(bits);
        } while (!passes && number != last_number);
        if (passes) {
            EACH_LANE(REPORT, bits)
        }
    } while (number - first < end);
}
