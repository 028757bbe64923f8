// Kind hash, algorithm scrypt (N = 1024, r = 1, p = 1): one header over a range of nonces.
//
// The host works out what does not depend on the nonce (Job, in the order of `Prepared` in the crate of kinds) and
// rechecks each nonce reported. A nonce is reported when the most significant 32 bits of its hash are at most job.top.
//
// A work item mixes HASHES = INTERLEAVE * ROW_HASHES nonces at a time and takes as many turns as the range needs, so
// the scratch memory depends on the number of work items alone: HASHES * 131072 / LOOKUP_GAP bytes each.
//
// Salsa20's 4x4 matrix is held as its four diagonals, one a row, so that a quarter round is the same operation on every
// word of a row, and going from columns to rows turns the words around: a shuffle where rows are vector registers, and
// nothing at all where they are not.

#ifndef INTERLEAVE // rows in flight, so that each one's latency hides behind the others: 1, 2, 3 or 4
#define INTERLEAVE 1
#endif
#ifndef ROW_HASHES // hashes of which a row holds four words each: 1 or 2
#define ROW_HASHES 1
#endif
#ifndef LOOKUP_GAP // every how many blocks one is kept; the others are computed when they are needed: 1, 2, 4, 8, ...
#define LOOKUP_GAP 1
#endif
#ifndef SCRATCH_PER_ITEM // 1: a work item's scratch memory is one piece; 0: the items' blocks of one number lie together
#define SCRATCH_PER_ITEM 0
#endif
#define HASHES (INTERLEAVE * ROW_HASHES)
#if VEC < HASHES
#error "VEC must be at least INTERLEAVE * ROW_HASHES"
#endif
#if LOOKUP_GAP > 1 && HASHES > 1
#error "hashes that share a work item cannot recompute blocks"
#endif

#define N 1024u
// Blocks kept of each hash, and rows of a block.
#define KEPT (N / LOOKUP_GAP)
#define ROWS 8u

typedef struct {
    u32 head[16]; // the header's first block
    u32 tail[3];  // its second block before the nonce
    u32 midstate[8];
    u32 top;
} ScryptJob;

// SHA-256 of several nonces side by side.

CONSTANT u32 K[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
};
CONSTANT u32 INITIAL[8] = {
    0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u,
};
#define PADDING 0x80000000u

#define BIG_SIGMA0(x) (ROTR32(x, 2) ^ ROTR32(x, 13) ^ ROTR32(x, 22))
#define BIG_SIGMA1(x) (ROTR32(x, 6) ^ ROTR32(x, 11) ^ ROTR32(x, 25))
#define SMALL_SIGMA0(x) (ROTR32(x, 7) ^ ROTR32(x, 18) ^ ((x) >> 3))
#define SMALL_SIGMA1(x) (ROTR32(x, 17) ^ ROTR32(x, 19) ^ ((x) >> 10))

typedef struct {
    UVEC s[8];
} State;

typedef struct {
    UVEC w[16];
} Message;

// d becomes the next e and h the next a; the next round names them one place further on.
#define ROUND(a, b, c, d, e, f, g, h, t)                                                                               \
    h = h + m.w[t] + K[round + t] + CHOOSE(e, f, g) + BIG_SIGMA1(e);                                                   \
    d += h;                                                                                                            \
    h += BIG_SIGMA0(a) + ((a & b) ^ (c & (a ^ b)));
#define EXTEND(t)                                                                                                      \
    m.w[t] += SMALL_SIGMA1(m.w[(t + 14) % 16]) + m.w[(t + 9) % 16] + SMALL_SIGMA0(m.w[(t + 1) % 16]);

// The state after one more block.
DEVICE State compress(const State state, Message m) {
    UVEC a = state.s[0], b = state.s[1], c = state.s[2], d = state.s[3];
    UVEC e = state.s[4], f = state.s[5], g = state.s[6], h = state.s[7];
    NOT_UNROLLED
    for (u32 round = 0u;; round += 16u) {
        ROUND(a, b, c, d, e, f, g, h, 0)
        ROUND(h, a, b, c, d, e, f, g, 1)
        ROUND(g, h, a, b, c, d, e, f, 2)
        ROUND(f, g, h, a, b, c, d, e, 3)
        ROUND(e, f, g, h, a, b, c, d, 4)
        ROUND(d, e, f, g, h, a, b, c, 5)
        ROUND(c, d, e, f, g, h, a, b, 6)
        ROUND(b, c, d, e, f, g, h, a, 7)
        ROUND(a, b, c, d, e, f, g, h, 8)
        ROUND(h, a, b, c, d, e, f, g, 9)
        ROUND(g, h, a, b, c, d, e, f, 10)
        ROUND(f, g, h, a, b, c, d, e, 11)
        ROUND(e, f, g, h, a, b, c, d, 12)
        ROUND(d, e, f, g, h, a, b, c, 13)
        ROUND(c, d, e, f, g, h, a, b, 14)
        ROUND(b, c, d, e, f, g, h, a, 15)
        if (round == 48u) {
            break;
        }
        EXTEND(0) EXTEND(1) EXTEND(2) EXTEND(3) EXTEND(4) EXTEND(5) EXTEND(6) EXTEND(7)
        EXTEND(8) EXTEND(9) EXTEND(10) EXTEND(11) EXTEND(12) EXTEND(13) EXTEND(14) EXTEND(15)
    }
    State after;
    after.s[0] = state.s[0] + a;
    after.s[1] = state.s[1] + b;
    after.s[2] = state.s[2] + c;
    after.s[3] = state.s[3] + d;
    after.s[4] = state.s[4] + e;
    after.s[5] = state.s[5] + f;
    after.s[6] = state.s[6] + g;
    after.s[7] = state.s[7] + h;
    return after;
}

// The header's second block, with what follows the nonce: after a word, padding for so many bits.
DEVICE Message header_end(const ScryptJob *job, const UVEC nonce, const u32 after, const u32 padding, const u32 bits) {
    Message m;
    m.w[0] = SPLAT(job->tail[0]);
    m.w[1] = SPLAT(job->tail[1]);
    m.w[2] = SPLAT(job->tail[2]);
    m.w[3] = nonce;
    m.w[4] = SPLAT(after);
    m.w[5] = SPLAT(padding);
    for (u32 i = 6u; i < 15u; i++) {
        m.w[i] = SPLAT(0u);
    }
    m.w[15] = SPLAT(bits);
    return m;
}

// SHA-256's state after the key of an HMAC, which is the header's hash, xored with a pad.
DEVICE State keyed(const State key, const u32 pad) {
    Message m;
    State initial;
    for (u32 i = 0u; i < 8u; i++) {
        m.w[i] = key.s[i] ^ SPLAT(pad);
        m.w[8u + i] = SPLAT(pad);
        initial.s[i] = SPLAT(INITIAL[i]);
    }
    return compress(initial, m);
}

// An HMAC: the digest of the outer key and the inner digest.
DEVICE State finished(const State outer, const State inner) {
    Message m;
    for (u32 i = 0u; i < 8u; i++) {
        m.w[i] = inner.s[i];
        m.w[8u + i] = SPLAT(0u);
    }
    m.w[8] = SPLAT(PADDING);
    m.w[15] = SPLAT((64u + 32u) * 8u);
    return compress(outer, m);
}

DEVICE State key_of(const ScryptJob *job, const UVEC nonce) {
    State midstate;
    for (u32 i = 0u; i < 8u; i++) {
        midstate.s[i] = SPLAT(job->midstate[i]);
    }
    return compress(midstate, header_end(job, nonce, PADDING, 0u, 80u * 8u));
}

// The first PBKDF2 step: the 32 words of the blocks to mix.
DEVICE void begin(const ScryptJob *job, const UVEC nonce, UVEC *words) {
    const State key = key_of(job, nonce);
    const State outer = keyed(key, 0x5c5c5c5cu);
    State salted = keyed(key, 0x36363636u);
    Message head;
    for (u32 i = 0u; i < 16u; i++) {
        head.w[i] = SPLAT(job->head[i]);
    }
    salted = compress(salted, head);
    NOT_UNROLLED
    for (u32 part = 0u; part < 4u; part++) {
        const Message end = header_end(job, nonce, part + 1u, PADDING, (64u + 80u + 4u) * 8u);
        const State digest = finished(outer, compress(salted, end));
        for (u32 i = 0u; i < 8u; i++) {
            words[8u * part + i] = BSWAP32(digest.s[i]);
        }
    }
}

// The second step: the most significant 32 bits of the hashes whose mixed blocks these are.
DEVICE UVEC top_word(const ScryptJob *job, const UVEC nonce, const UVEC *words) {
    const State key = key_of(job, nonce);
    State inner = keyed(key, 0x36363636u);
    Message m;
    NOT_UNROLLED
    for (u32 part = 0u; part < 2u; part++) {
        for (u32 i = 0u; i < 16u; i++) {
            m.w[i] = BSWAP32(words[16u * part + i]);
        }
        inner = compress(inner, m);
    }
    m.w[0] = SPLAT(1u);
    m.w[1] = SPLAT(PADDING);
    for (u32 i = 2u; i < 15u; i++) {
        m.w[i] = SPLAT(0u);
    }
    m.w[15] = SPLAT((64u + 128u + 4u) * 8u);
    const State digest = finished(keyed(key, 0x5c5c5c5cu), compress(inner, m));
    return BSWAP32(digest.s[7]);
}

// Rows.

#if ROW_HASHES == 1
typedef U32X4 ROW;
#define ROTL(v, n) ROTL4(v, n)
#define TURN_1(v) TURN4_1(v)
#define TURN_2(v) TURN4_2(v)
#define TURN_3(v) TURN4_3(v)
#define LOAD(at, row) (at##0[row])
#define STORE(at, row, v) at##0[row] = (v);
#define FIRST_WORD(v, hash) ((v).x)
#else
typedef uint8 ROW;
#define ROTL(v, n) rotate((v), (ROW)(n))
#define TURN_1(v) ((v).s12305674)
#define TURN_2(v) ((v).s23016745)
#define TURN_3(v) ((v).s30127456)
#define LOAD(at, row) ((ROW)(at##0[row], at##1[row]))
#define STORE(at, row, v) at##0[row] = (v).lo; at##1[row] = (v).hi;
#define FIRST_WORD(v, hash) ((hash) == 0 ? (v).s0 : (v).s4)
#endif

// Half a block: the diagonals from the main one downwards.
typedef struct {
    ROW a, b, c, d;
} Half;

#if INTERLEAVE == 1
#define EACH(F) F(0)
#elif INTERLEAVE == 2
#define EACH(F) F(0) F(1)
#elif INTERLEAVE == 3
#define EACH(F) F(0) F(1) F(2)
#elif INTERLEAVE == 4
#define EACH(F) F(0) F(1) F(2) F(3)
#else
#error "INTERLEAVE must be 1, 2, 3 or 4"
#endif

#define STEP_B(i) b##i = b##i ^ ROTL(a##i + d##i, 7);
#define STEP_C(i) c##i = c##i ^ ROTL(b##i + a##i, 9);
#define STEP_D(i) d##i = d##i ^ ROTL(c##i + b##i, 13);
#define STEP_A(i) a##i = a##i ^ ROTL(d##i + c##i, 18);
// From columns to rows and back: b and d change places.
#define TURN(i)                                                                                                        \
    swapped = TURN_1(d##i);                                                                                            \
    d##i = TURN_3(b##i);                                                                                               \
    b##i = swapped;                                                                                                    \
    c##i = TURN_2(c##i);
#define DOUBLE_ROUND(EACH)                                                                                             \
    EACH(STEP_B) EACH(STEP_C) EACH(STEP_D) EACH(STEP_A) EACH(TURN)                                                     \
    EACH(STEP_B) EACH(STEP_C) EACH(STEP_D) EACH(STEP_A) EACH(TURN)

#define DECLARE_MIXED(i) ROW a##i, b##i, c##i, d##i;
#define XOR_HALF(x, y) x.a = x.a ^ y.a; x.b = x.b ^ y.b; x.c = x.c ^ y.c; x.d = x.d ^ y.d;
#define START(i, x, y) XOR_HALF(x, y) a##i = x.a; b##i = x.b; c##i = x.c; d##i = x.d;
#define END(i, x) x.a = x.a + a##i; x.b = x.b + b##i; x.c = x.c + c##i; x.d = x.d + d##i;
#define START_LOW(i) START(i, low##i, high##i)
#define END_LOW(i) END(i, low##i)
#define START_HIGH(i) START(i, high##i, low##i)
#define END_HIGH(i) END(i, high##i)
#define SALSA20_8(EACH)                                                                                                \
    DOUBLE_ROUND(EACH) DOUBLE_ROUND(EACH) DOUBLE_ROUND(EACH) DOUBLE_ROUND(EACH)
// BlockMix of every block in low and high.
#define BLOCK_MIX                                                                                                      \
    {                                                                                                                  \
        ROW swapped;                                                                                                   \
        EACH(DECLARE_MIXED)                                                                                            \
        EACH(START_LOW)                                                                                                \
        SALSA20_8(EACH)                                                                                                \
        EACH(END_LOW)                                                                                                  \
        EACH(START_HIGH)                                                                                               \
        SALSA20_8(EACH)                                                                                                \
        EACH(END_HIGH)                                                                                                 \
    }

// Scratch memory.

#if SCRATCH_PER_ITEM
#define ENTRY(number, hash) (scratch + (((u64)GID0() * KEPT + (number)) * HASHES + (hash)) * ROWS)
#else
#define ENTRY(number, hash) (scratch + (((u64)(number) * GSZ0() + GID0()) * HASHES + (hash)) * ROWS)
#endif
#define LOW_HASH(i) ((i) * ROW_HASHES)
#define HIGH_HASH(i) ((i) * ROW_HASHES + ROW_HASHES - 1)

#define KEPT_AT(i, hash) ENTRY(number, hash)
// Pointers to a register's blocks.
#if ROW_HASHES == 1
#define AT(type, place, i) type *at0 = place(i, LOW_HASH(i));
#else
#define AT(type, place, i) type *at0 = place(i, LOW_HASH(i)), *at1 = place(i, HIGH_HASH(i));
#endif
#define DECLARE(i) Half low##i, high##i;
#define KEEP(i)                                                                                                        \
    {                                                                                                                  \
        AT(GLOBAL U32X4, KEPT_AT, i)                                                                                   \
        STORE(at, 0, low##i.a)                                                                                         \
        STORE(at, 1, low##i.b)                                                                                         \
        STORE(at, 2, low##i.c)                                                                                         \
        STORE(at, 3, low##i.d)                                                                                         \
        STORE(at, 4, high##i.a)                                                                                        \
        STORE(at, 5, high##i.b)                                                                                        \
        STORE(at, 6, high##i.c)                                                                                        \
        STORE(at, 7, high##i.d)                                                                                        \
    }
#define PICKED_AT(i, hash) ENTRY(FIRST_WORD(high##i.a, (hash) - LOW_HASH(i)) % N / LOOKUP_GAP, hash)
#define XOR_PICKED(i)                                                                                                  \
    {                                                                                                                  \
        AT(GLOBAL const U32X4, PICKED_AT, i)                                                                           \
        low##i.a = low##i.a ^ LOAD(at, 0);                                                                             \
        low##i.b = low##i.b ^ LOAD(at, 1);                                                                             \
        low##i.c = low##i.c ^ LOAD(at, 2);                                                                             \
        low##i.d = low##i.d ^ LOAD(at, 3);                                                                             \
        high##i.a = high##i.a ^ LOAD(at, 4);                                                                           \
        high##i.b = high##i.b ^ LOAD(at, 5);                                                                           \
        high##i.c = high##i.c ^ LOAD(at, 6);                                                                           \
        high##i.d = high##i.d ^ LOAD(at, 7);                                                                           \
    }

// A row of the block's words: `flat` holds word after word, VEC lanes each.
#define WORD(w, hash) flat[(w) * VEC + (hash)]
#define FOUR_WORDS(w0, w1, w2, w3, hash) MAKE4(WORD(w0, hash), WORD(w1, hash), WORD(w2, hash), WORD(w3, hash))
#if ROW_HASHES == 1
#define TO_ROW(i, w0, w1, w2, w3) FOUR_WORDS(w0, w1, w2, w3, i)
#define FROM_ROW(i, v, w0, w1, w2, w3)                                                                                 \
    WORD(w0, i) = v.x; WORD(w1, i) = v.y; WORD(w2, i) = v.z; WORD(w3, i) = v.w;
#else
#define TO_ROW(i, w0, w1, w2, w3)                                                                                      \
    ((ROW)(FOUR_WORDS(w0, w1, w2, w3, LOW_HASH(i)), FOUR_WORDS(w0, w1, w2, w3, HIGH_HASH(i))))
#define FROM_ROW(i, v, w0, w1, w2, w3)                                                                                 \
    WORD(w0, LOW_HASH(i)) = v.s0; WORD(w1, LOW_HASH(i)) = v.s1;                                                        \
    WORD(w2, LOW_HASH(i)) = v.s2; WORD(w3, LOW_HASH(i)) = v.s3;                                                        \
    WORD(w0, HIGH_HASH(i)) = v.s4; WORD(w1, HIGH_HASH(i)) = v.s5;                                                      \
    WORD(w2, HIGH_HASH(i)) = v.s6; WORD(w3, HIGH_HASH(i)) = v.s7;
#endif
#define TO_HALF(i, x, w)                                                                                               \
    x.a = TO_ROW(i, w + 0, w + 5, w + 10, w + 15);                                                                     \
    x.b = TO_ROW(i, w + 4, w + 9, w + 14, w + 3);                                                                      \
    x.c = TO_ROW(i, w + 8, w + 13, w + 2, w + 7);                                                                      \
    x.d = TO_ROW(i, w + 12, w + 1, w + 6, w + 11);
#define FROM_HALF(i, x, w)                                                                                             \
    FROM_ROW(i, x.a, w + 0, w + 5, w + 10, w + 15)                                                                     \
    FROM_ROW(i, x.b, w + 4, w + 9, w + 14, w + 3)                                                                      \
    FROM_ROW(i, x.c, w + 8, w + 13, w + 2, w + 7)                                                                      \
    FROM_ROW(i, x.d, w + 12, w + 1, w + 6, w + 11)
#define TO_ROWS(i) TO_HALF(i, low##i, 0) TO_HALF(i, high##i, 16)
#define FROM_ROWS(i) FROM_HALF(i, low##i, 0) FROM_HALF(i, high##i, 16)

// ROMix of the blocks whose words `flat` holds.
DEVICE void mix(u32 *flat, GLOBAL U32X4 *scratch) {
    EACH(DECLARE)
    EACH(TO_ROWS)
    NOT_UNROLLED
    for (u32 number = 0u; number < KEPT; number++) {
        EACH(KEEP)
        NOT_UNROLLED
        for (u32 gap = 0u; gap < LOOKUP_GAP; gap++) {
            BLOCK_MIX
        }
    }
    NOT_UNROLLED
    for (u32 turn = 0u; turn < N; turn++) {
#if LOOKUP_GAP == 1
        EACH(XOR_PICKED)
        BLOCK_MIX
#else
        // The picked block is computed from the last one kept before it; only then is it mixed in.
        const Half low = low0, high = high0;
        const u32 picked = high0.a.x % N;
        GLOBAL const U32X4 *at = ENTRY(picked / LOOKUP_GAP, 0);
        low0.a = at[0];
        low0.b = at[1];
        low0.c = at[2];
        low0.d = at[3];
        high0.a = at[4];
        high0.b = at[5];
        high0.c = at[6];
        high0.d = at[7];
        NOT_UNROLLED
        for (u32 left = picked % LOOKUP_GAP;; left--) {
            if (left == 0u) {
                XOR_HALF(low0, low)
                XOR_HALF(high0, high)
            }
            BLOCK_MIX
            if (left == 0u) {
                break;
            }
        }
#endif
    }
    EACH(FROM_ROWS)
}

// Lanes of UVEC past the hashes of an item are computed and dropped.
#if VEC == HASHES
#define IN_ITEM(lane) 1
#else
#define IN_ITEM(lane) ((lane) < HASHES)
#endif
#define REPORT(word, lane)                                                                                             \
    if (IN_ITEM(lane) && (word) <= job.top && (u64)offset + lane <= last_offset) {                                     \
        const u32 slot = ATOMIC_INC(found);                                                                            \
        if (slot < FOUND_MAX) {                                                                                        \
            found[1u + slot] = first + offset + lane;                                                                  \
        }                                                                                                              \
    }

// Tries the nonces from `first` to `first + last_offset`, with any number of work items. found[0] counts the nonces
// reported, which follow in any order; those past FOUND_MAX are counted but not kept.
KERNEL scrypt_scan(const ScryptJob job, const u32 first, const u32 last_offset, GLOBAL u32 *found,
                   GLOBAL U32X4 *scratch) {
    const u32 stride = GSZ0() * HASHES;
    u32 offset = GID0() * HASHES;
    if (offset > last_offset) {
        return;
    }
    NOT_UNROLLED
    for (;;) {
        const UVEC nonce_numbers = SPLAT(first + offset) + LANE_NUMBERS;
        const UVEC nonce = BSWAP32(nonce_numbers);
        UVEC words[32];
        begin(&job, nonce, words);
        mix((u32 *)words, scratch);
        const UVEC tops = top_word(&job, nonce, words);
        EACH_LANE(REPORT, tops)
        if (last_offset - offset < stride) {
            break;
        }
        offset += stride;
    }
}
