// Kind render: the sums of samples of the pixels of some elements.
//
// This is the reference in the crate of kinds (render/reference.rs and its neighbours), operation by operation: whoever
// changes one changes the other. What is free to differ is the order in which boxes are visited, for the nearest hit, or
// whether there is one, does not depend on it. With VEC 8 a ray is tested against eight boxes or triangles at once, as CPUs
// like it; with VEC 1 against one after the other.
//
// A scene has been checked before it is given to a device: every index in it is in range, the tree's stack suffices.
//
// One work item is one pixel of one element: item = (element - first_element) * 256 + pixel of the block, row by row. It
// writes its `channels` sums from out[item * channels] on. Items beyond the last element write nothing.

#if VEC != 1 && VEC != 8
#error "render: VEC must be 1 or 8"
#endif

typedef const GLOBAL u32 *Words;
typedef const GLOBAL float *Numbers;

// The scene's layout: see render/layout.rs in the crate of kinds.
#define NONE 0xffffffffu
#define LEAF 0x80000000u
#define H_FLAGS 3
#define H_NODES 4
#define H_GROUPS 6
#define H_SHADES 8
#define H_ATTRIBUTES 9
#define H_MATERIALS 11
#define H_TEXTURES 13
#define H_TEXELS 15
#define H_EMITTERS 17
#define H_EMITTER_COUNT 18
#define H_SKY 19
#define H_SKY_WIDTH 20
#define H_SKY_HEIGHT 21
#define H_SKY_TABLE 22
#define H_SRGB 23
#define H_OFFSET 24
#define H_POSITION 25
#define H_RIGHT 28
#define H_UP 31
#define H_FORWARD 34
#define H_TAN_HALF_FOV 37
#define H_APERTURE 38
#define H_FOCUS 39
#define H_SKY_CONSTANT 40
#define H_SKY_TURN 43
#define H_SKY_CHANCE 44
#define FLAG_SEE_THROUGH 1u
#define NODE_WORDS 56u
#define NODE_CHILDREN 48u
#define STACK 96
#define GROUP_WORDS 104u
#define ROW_U 32u
#define ROW_V 64u
#define ROW_BOUND 96u
#define SHADE_WORDS 4u
#define NORMALS 1u
#define TANGENTS 2u
#define UV0 4u
#define UV1 8u
#define COLORS 16u
#define MATERIAL_WORDS 64u
#define M_BASE_COLOR 1u
#define M_METALLIC 5u
#define M_ROUGHNESS 6u
#define M_NORMAL_SCALE 7u
#define M_OCCLUSION 8u
#define M_EMISSIVE 9u
#define M_CUTOFF 12u
#define M_TRANSMISSION 13u
#define M_F0 14u
#define M_F90 15u
#define USE_BASE 16u
#define USE_METALLIC_ROUGHNESS 24u
#define USE_NORMAL 32u
#define USE_OCCLUSION 40u
#define USE_EMISSIVE 48u
#define USE_TRANSMISSION 56u
#define UNLIT 1u
#define MASK 2u
#define BLEND 4u
#define TEXTURED 16u
#define EMITS 32u
#define TEXTURE_WORDS 4u
#define WRAP_MIRROR 1u
#define WRAP_CLAMP 2u
#define WRAP_VERTICAL 2u
#define TEXTURE_SRGB 16u
#define TEXTURE_NEAREST 32u
#define EMITTER_WORDS 20u
#define E_DENSITY 1u
#define E_THRESHOLD 2u
#define E_CORNER 4u
#define E_EDGE1 7u
#define E_EDGE2 10u
#define E_NORMAL 13u
#define E_SLOT 16u
#define E_RADIANCE 17u
#define E_PLACE 4u
#define E_INTENSITY 7u
#define E_INV_RANGE 10u
#define E_DIRECTION 11u
#define E_CONE_SCALE 14u
#define E_CONE_OFFSET 15u
#define E_TRIANGLE 0u
#define E_SPOT 2u
#define E_DIRECTIONAL 3u
#define E_SKY 4u
#define BOTH_SIDES 256u
#define VARIES 512u
#define SKY_TABLE_WORDS 3u

#define ROULETTE_DEPTH 3u
#define PASSES_MAX 64u
#define SKY_BLOCK 0x40000000u
#define PASS_BLOCK 0x80000000u
#define CLEAR 0.08f
#define FARTHEST 1048576.0f
#define SLOW 8.6736174e-19f // 2^-60
#define LARGEST 3.4028235e38f
#define DENSEST 1e18f
#define INV_PI 0.31830987f

// Arithmetic: math.rs.

typedef struct {
    float x, y, z;
} V3;

DEVICE V3 v3(const float x, const float y, const float z) {
    V3 v;
    v.x = x;
    v.y = y;
    v.z = z;
    return v;
}
DEVICE V3 plus(const V3 a, const V3 b) { return v3(a.x + b.x, a.y + b.y, a.z + b.z); }
DEVICE V3 minus(const V3 a, const V3 b) { return v3(a.x - b.x, a.y - b.y, a.z - b.z); }
DEVICE V3 times(const V3 a, const V3 b) { return v3(a.x * b.x, a.y * b.y, a.z * b.z); }
DEVICE V3 scaled(const V3 a, const float s) { return v3(a.x * s, a.y * s, a.z * s); }
DEVICE V3 negated(const V3 a) { return v3(-a.x, -a.y, -a.z); }
// a * s + b
DEVICE V3 scaled_onto(const V3 a, const float s, const V3 b) {
    return v3(FFMA(a.x, s, b.x), FFMA(a.y, s, b.y), FFMA(a.z, s, b.z));
}
DEVICE float dot3(const V3 a, const V3 b) { return FFMA(a.z, b.z, FFMA(a.y, b.y, a.x * b.x)); }
DEVICE V3 cross3(const V3 a, const V3 b) {
    return v3(FFMA(a.y, b.z, -(a.z * b.y)), FFMA(a.z, b.x, -(a.x * b.z)), FFMA(a.x, b.y, -(a.y * b.x)));
}
DEVICE float smaller(const float a, const float b) { return a < b ? a : b; }
DEVICE float larger(const float a, const float b) { return a > b ? a : b; }
DEVICE float clamped(const float x, const float low, const float high) { return smaller(larger(x, low), high); }
DEVICE float largest(const V3 a) { return larger(larger(a.x, a.y), a.z); }
DEVICE V3 normalized(const V3 a) {
    const float square = dot3(a, a);
    return square > 0.0f ? scaled(a, FDIV(1.0f, FSQRT(square))) : v3(0.0f, 0.0f, 0.0f);
}
DEVICE u32 least(const u32 a, const u32 b) { return a < b ? a : b; }

typedef struct {
    float sine, cosine;
} Turn;

DEVICE Turn sin_cos(const float turns) {
    const u32 quarter = F2U(FFMA(turns, 4.0f, 0.5f));
    const float r = FFMA(U2F(quarter), -0.25f, turns);
    const float r2 = r * r;
    const float s = r * FFMA(r2, FFMA(r2, FFMA(r2, -75.39356f, 81.592354f), -41.341663f), 6.2831855f);
    const float c = FFMA(r2, FFMA(r2, FFMA(r2, FFMA(r2, 59.421707f, -85.44876f), 64.93937f), -19.739208f), 1.0f);
    const u32 q = quarter & 3u;
    const float a = (q & 1u) ? c : s, b = (q & 1u) ? s : c;
    Turn turn;
    turn.sine = (q & 2u) ? -a : a;
    turn.cosine = (q == 1u || q == 2u) ? -b : b;
    return turn;
}

DEVICE float turns_of(const float y, const float x) {
    const float ax = FABS(x), ay = FABS(y);
    const float low = smaller(ax, ay), high = larger(ax, ay);
    const float a = high > 0.0f ? FDIV(low, high) : 0.0f;
    const float z = a * a;
    float p = FFMA(z, -0.0007469579f, 0.0038598892f);
    p = FFMA(z, p, -0.009467552f);
    p = FFMA(z, p, 0.015779087f);
    p = FFMA(z, p, -0.022312697f);
    p = FFMA(z, p, 0.031782802f);
    p = FFMA(z, p, -0.053049512f);
    p = FFMA(z, p, 0.15915492f);
    float turns = a * p;
    if (ay > ax) {
        turns = 0.25f - turns;
    }
    if (x < 0.0f) {
        turns = 0.5f - turns;
    }
    return y < 0.0f ? -turns : turns;
}

// Random numbers: rng.rs.

typedef struct {
    u32 x, y, z, w;
} Four;

DEVICE Four pcg4d(const u32 pixel, const u32 sample, const u32 block, const u32 seed) {
    u32 x = pixel * 1664525u + 1013904223u, y = sample * 1664525u + 1013904223u;
    u32 z = block * 1664525u + 1013904223u, w = seed * 1664525u + 1013904223u;
    x += y * w, y += z * x, z += x * y, w += y * z;
    x ^= x >> 16, y ^= y >> 16, z ^= z >> 16, w ^= w >> 16;
    x += y * w, y += z * x, z += x * y, w += y * z;
    Four four;
    four.x = x;
    four.y = y;
    four.z = z;
    four.w = w;
    return four;
}

DEVICE float unit(const u32 word) { return U2F(word >> 8) * (1.0f / 16777216.0f); }

typedef struct {
    u32 pixel, sample, seed;
} Random;

DEVICE Four block_of(const Random random, const u32 block) {
    return pcg4d(random.pixel, random.sample, block, random.seed);
}

// What a ray meets: trace.rs.

DEVICE float number(const Words scene, const u32 place) { return U2BITS(scene[place]); }
DEVICE V3 three(const Words scene, const u32 place) {
    const Words at = scene + place;
    return v3(U2BITS(at[0]), U2BITS(at[1]), U2BITS(at[2]));
}

typedef struct {
    V3 origin, direction;
} Ray;

typedef struct {
    float distance;
    u32 slot;
} Hit;

typedef struct {
    V3 inverse, shift;
    // Offset of the rows, in a node, through which the ray enters and leaves.
    u32 enter_x, enter_y, enter_z, leave_x, leave_y, leave_z;
} Slopes;

DEVICE float brisk(const float d) { return FABS(d) < SLOW ? (d < 0.0f ? -SLOW : SLOW) : d; }

DEVICE Slopes slopes_of(const Ray *const ray) {
    const V3 o = ray->origin, d = ray->direction;
    Slopes slopes;
    slopes.inverse = v3(FDIV(1.0f, brisk(d.x)), FDIV(1.0f, brisk(d.y)), FDIV(1.0f, brisk(d.z)));
    const V3 i = slopes.inverse;
    slopes.shift = v3(-(o.x * i.x), -(o.y * i.y), -(o.z * i.z));
    slopes.enter_x = d.x < 0.0f ? 24u : 0u;
    slopes.enter_y = d.y < 0.0f ? 32u : 8u;
    slopes.enter_z = d.z < 0.0f ? 40u : 16u;
    slopes.leave_x = 24u - slopes.enter_x;
    slopes.leave_y = 40u - slopes.enter_y;
    slopes.leave_z = 56u - slopes.enter_z;
    return slopes;
}

#if VEC == 8

typedef float8 Row;
#define ROW(at) vload8(0, (Numbers)(at))
DEVICE Row row_larger(const Row a, const Row b) { return select(b, a, a > b); }
DEVICE Row row_smaller(const Row a, const Row b) { return select(b, a, a < b); }
// Bit k of the result: whether lane k of a comparison holds.
DEVICE u32 lanes(const int8 holds) {
    const int8 one = holds & (int8)(1, 2, 4, 8, 16, 32, 64, 128);
    const int4 two = one.lo | one.hi;
    const int2 four = two.lo | two.hi;
    return (u32)(four.x | four.y);
}

// The lanes of a node whose boxes the ray enters before `limit`, and where it enters them.
DEVICE u32 boxes(const Words node, const Slopes *const s, const float limit, float *const enters) {
    const Row ex = fma(ROW(node + s->enter_x), (Row)(s->inverse.x), (Row)(s->shift.x));
    const Row ey = fma(ROW(node + s->enter_y), (Row)(s->inverse.y), (Row)(s->shift.y));
    const Row ez = fma(ROW(node + s->enter_z), (Row)(s->inverse.z), (Row)(s->shift.z));
    const Row lx = fma(ROW(node + s->leave_x), (Row)(s->inverse.x), (Row)(s->shift.x));
    const Row ly = fma(ROW(node + s->leave_y), (Row)(s->inverse.y), (Row)(s->shift.y));
    const Row lz = fma(ROW(node + s->leave_z), (Row)(s->inverse.z), (Row)(s->shift.z));
    const Row enter = row_larger(ez, row_larger(ey, row_larger(ex, (Row)(0.0f))));
    const Row leave = row_smaller(lz, row_smaller(ly, row_smaller(lx, (Row)(limit))));
    vstore8(enter, 0, enters);
    return lanes(enter <= leave);
}

typedef struct {
    Row distance;
    int8 met;
} Met;

DEVICE Met triangles(const Words g, const Ray *const ray, const float limit) {
    const V3 o = ray->origin, d = ray->direction;
    const Row nx = ROW(g), ny = ROW(g + 8), nz = ROW(g + 16);
    const Row speed = fma(nx, (Row)(d.x), fma(ny, (Row)(d.y), nz * d.z));
    const Row height = fma(nx, (Row)(-o.x), fma(ny, (Row)(-o.y), fma(nz, (Row)(-o.z), ROW(g + 24))));
    const Row t = height / speed;
    const Row px = fma((Row)(d.x), t, (Row)(o.x)), py = fma((Row)(d.y), t, (Row)(o.y)), pz = fma((Row)(d.z), t, (Row)(o.z));
    const Row u = fma(ROW(g + 32), px, fma(ROW(g + 40), py, fma(ROW(g + 48), pz, ROW(g + 56))));
    const Row v = fma(ROW(g + 64), px, fma(ROW(g + 72), py, fma(ROW(g + 80), pz, ROW(g + 88))));
    Met met;
    met.distance = t;
    met.met = (t > 0.0f) & (t <= limit) & (u >= 0.0f) & (v >= 0.0f) & (u + v <= 1.0f) & (speed < ROW(g + ROW_BOUND));
    return met;
}

// The nearer of `hit` and what is met of a group.
DEVICE Hit nearer(const Words scene, const u32 group, const Ray *const ray, const Hit hit) {
    const Met met = triangles(scene + scene[H_GROUPS] + group * GROUP_WORDS, ray, hit.distance);
    if (lanes(met.met) == 0u) {
        return hit;
    }
    const Row t = select((Row)(LARGEST), met.distance, met.met);
    const float4 two = t.lo < t.hi ? t.lo : t.hi;
    const float2 four = two.lo < two.hi ? two.lo : two.hi;
    Hit best;
    best.distance = smaller(four.x, four.y);
    const u32 equal = lanes(met.met & (t == best.distance));
    best.slot = group * 8u + (31u - clz(equal & (0u - equal)));
    return best.distance < hit.distance || best.slot < hit.slot ? best : hit;
}

DEVICE bool group_meets(const Words scene, const u32 group, const Ray *const ray, const float limit) {
    const Met met = triangles(scene + scene[H_GROUPS] + group * GROUP_WORDS, ray, limit);
    return lanes(met.met & (met.distance < limit)) != 0u;
}

#define FIRST_LANE(bits) (31u - clz((bits) & (0u - (bits))))

#else

// One box of boxes(): its bounds by row, and where the ray enters it.
DEVICE u32 box(const float enter_x, const float enter_y, const float enter_z, const float leave_x, const float leave_y,
               const float leave_z, const Slopes *const s, const float limit, float *const enters) {
    const float ex = FFMA(enter_x, s->inverse.x, s->shift.x), lx = FFMA(leave_x, s->inverse.x, s->shift.x);
    const float ey = FFMA(enter_y, s->inverse.y, s->shift.y), ly = FFMA(leave_y, s->inverse.y, s->shift.y);
    const float ez = FFMA(enter_z, s->inverse.z, s->shift.z), lz = FFMA(leave_z, s->inverse.z, s->shift.z);
    const float enter = larger(ez, larger(ey, larger(ex, 0.0f)));
    *enters = enter;
    return enter <= smaller(lz, smaller(ly, smaller(lx, limit))) ? 1u : 0u;
}

// Nodes and groups begin at multiples of 16 bytes, and so do their rows: four lanes of one are one load.
DEVICE u32 boxes(const Words node, const Slopes *const s, const float limit, float *const enters) {
    u32 bits = 0u;
    for (u32 k = 0u; k < 8u; k += 4u) {
        const Numbers lanes = (Numbers)node + k;
        const F32X4 ex = LOAD4(lanes + s->enter_x), ey = LOAD4(lanes + s->enter_y), ez = LOAD4(lanes + s->enter_z);
        const F32X4 lx = LOAD4(lanes + s->leave_x), ly = LOAD4(lanes + s->leave_y), lz = LOAD4(lanes + s->leave_z);
        bits |= box(ex.x, ey.x, ez.x, lx.x, ly.x, lz.x, s, limit, enters + k) << k;
        bits |= box(ex.y, ey.y, ez.y, lx.y, ly.y, lz.y, s, limit, enters + k + 1u) << (k + 1u);
        bits |= box(ex.z, ey.z, ez.z, lx.z, ly.z, lz.z, s, limit, enters + k + 2u) << (k + 2u);
        bits |= box(ex.w, ey.w, ez.w, lx.w, ly.w, lz.w, s, limit, enters + k + 3u) << (k + 3u);
    }
    return bits;
}

// The rows of a group that say how far along a ray a plane is, for four lanes.
typedef struct {
    F32X4 x, y, z, distance, bound;
} Planes;

DEVICE Planes planes(const Numbers lanes) {
    Planes p;
    p.x = LOAD4(lanes);
    p.y = LOAD4(lanes + 8);
    p.z = LOAD4(lanes + 16);
    p.distance = LOAD4(lanes + 24);
    p.bound = LOAD4(lanes + ROW_BOUND);
    return p;
}

// How far along the ray the triangle of a lane is met, given its plane; larger than any limit if it is not.
DEVICE float triangle(const Numbers lane, const float nx, const float ny, const float nz, const float distance,
                      const float bound, const Ray *const ray, const float limit) {
    const V3 o = ray->origin, d = ray->direction;
    const float speed = FFMA(nx, d.x, FFMA(ny, d.y, nz * d.z));
    const float height = FFMA(nx, -o.x, FFMA(ny, -o.y, FFMA(nz, -o.z, distance)));
    const float t = FDIV(height, speed);
    if (!(t > 0.0f && t <= limit && speed < bound)) {
        return U2BITS(0x7f800000u);
    }
    const V3 p = scaled_onto(d, t, o);
    const float u = FFMA(lane[32], p.x, FFMA(lane[40], p.y, FFMA(lane[48], p.z, lane[56])));
    const float v = FFMA(lane[64], p.x, FFMA(lane[72], p.y, FFMA(lane[80], p.z, lane[88])));
    return u >= 0.0f && v >= 0.0f && u + v <= 1.0f ? t : U2BITS(0x7f800000u);
}
#define TRIANGLE(lanes, p, c, k, ray, limit)                                                                           \
    triangle((lanes) + (k), (p).x.c, (p).y.c, (p).z.c, (p).distance.c, (p).bound.c, (ray), (limit))

DEVICE Hit nearer_of(const float t, const u32 slot, const Hit hit) {
    Hit best;
    best.distance = t;
    best.slot = slot;
    return t < hit.distance || (t == hit.distance && slot < hit.slot) ? best : hit;
}

DEVICE Hit nearer(const Words scene, const u32 group, const Ray *const ray, Hit hit) {
    const Numbers lanes = (Numbers)(scene + scene[H_GROUPS] + group * GROUP_WORDS);
    for (u32 k = 0u; k < 8u; k += 4u) {
        const Planes p = planes(lanes + k);
        hit = nearer_of(TRIANGLE(lanes + k, p, x, 0, ray, hit.distance), group * 8u + k, hit);
        hit = nearer_of(TRIANGLE(lanes + k, p, y, 1, ray, hit.distance), group * 8u + k + 1u, hit);
        hit = nearer_of(TRIANGLE(lanes + k, p, z, 2, ray, hit.distance), group * 8u + k + 2u, hit);
        hit = nearer_of(TRIANGLE(lanes + k, p, w, 3, ray, hit.distance), group * 8u + k + 3u, hit);
    }
    return hit;
}

DEVICE bool group_meets(const Words scene, const u32 group, const Ray *const ray, const float limit) {
    const Numbers lanes = (Numbers)(scene + scene[H_GROUPS] + group * GROUP_WORDS);
    for (u32 k = 0u; k < 8u; k += 4u) {
        const Planes p = planes(lanes + k);
        if (TRIANGLE(lanes + k, p, x, 0, ray, limit) < limit || TRIANGLE(lanes + k, p, y, 1, ray, limit) < limit ||
            TRIANGLE(lanes + k, p, z, 2, ray, limit) < limit || TRIANGLE(lanes + k, p, w, 3, ray, limit) < limit) {
            return true;
        }
    }
    return false;
}

#ifdef __CUDACC__
#define FIRST_LANE(bits) ((u32)__ffs((int)(bits)) - 1u)
#else
#define FIRST_LANE(bits) (31u - clz((bits) & (0u - (bits))))
#endif

#endif

DEVICE Hit nearest(const Words scene, const Ray *const ray, const float limit) {
    const Slopes slopes = slopes_of(ray);
    u32 children[STACK];
    float entries[STACK];
    float enters[8];
    Hit hit;
    hit.distance = limit;
    hit.slot = NONE;
    u32 height = 0u, child = 0u;
    for (;;) {
        if (child & LEAF) {
            hit = nearer(scene, child & ~LEAF, ray, hit);
        } else {
            const Words node = scene + scene[H_NODES] + child * NODE_WORDS;
            u32 bits = boxes(node, &slopes, hit.distance, enters);
            // The nearest child is next; the others wait.
            u32 first = NONE;
            float first_enter = LARGEST;
            while (bits != 0u) {
                const u32 lane = FIRST_LANE(bits);
                bits &= bits - 1u;
                const u32 other = node[NODE_CHILDREN + lane];
                const float enter = enters[lane];
                const bool is_first = enter < first_enter;
                children[height] = is_first ? first : other;
                entries[height] = is_first ? first_enter : enter;
                height += children[height] != NONE ? 1u : 0u;
                first = is_first ? other : first;
                first_enter = is_first ? enter : first_enter;
            }
            if (first != NONE) {
                child = first;
                continue;
            }
        }
        do {
            if (height == 0u) {
                return hit;
            }
            height--;
        } while (entries[height] > hit.distance);
        child = children[height];
    }
}

DEVICE bool meets_any(const Words scene, const Ray *const ray, const float limit) {
    const Slopes slopes = slopes_of(ray);
    u32 children[STACK];
    float enters[8];
    u32 height = 0u, child = 0u;
    for (;;) {
        if (child & LEAF) {
            if (group_meets(scene, child & ~LEAF, ray, limit)) {
                return true;
            }
        } else {
            const Words node = scene + scene[H_NODES] + child * NODE_WORDS;
            u32 bits = boxes(node, &slopes, limit, enters);
            while (bits != 0u) {
                const u32 next = node[NODE_CHILDREN + FIRST_LANE(bits)];
                bits &= bits - 1u;
                if (next != NONE) {
                    children[height++] = next;
                }
            }
        }
        if (height == 0u) {
            return false;
        }
        child = children[--height];
    }
}

// Textures: texture.rs.

typedef struct {
    float s0, t0, s1, t1;
} Coordinates;

typedef struct {
    float r, g, b, a;
} Texel;

DEVICE Texel texel_of(const float r, const float g, const float b, const float a) {
    Texel t;
    t.r = r;
    t.g = g;
    t.b = b;
    t.a = a;
    return t;
}

DEVICE float folded(const float x, const u32 wrap) {
    if (wrap & WRAP_CLAMP) {
        return clamped(x, 0.0f, 1.0f);
    }
    if (FABS(x) < FARTHEST) {
        if (wrap & WRAP_MIRROR) {
            const float y = x - 2.0f * FFLOOR(x * 0.5f);
            return y > 1.0f ? 2.0f - y : y;
        }
        return x - FFLOOR(x);
    }
    return 0.0f;
}

typedef struct {
    u32 before, after;
    float part;
} Neighbours;

DEVICE Neighbours neighbours(const float x, const u32 side, const u32 wrap) {
    const float place = FFMA(x, U2F(side), 0.5f);
    const u32 next = least(F2U(place), side);
    const bool repeats = (wrap & (WRAP_CLAMP | WRAP_MIRROR)) == 0u;
    Neighbours n;
    n.part = place - U2F(next);
    n.before = next > 0u ? next - 1u : (repeats ? side - 1u : 0u);
    n.after = next < side ? next : (repeats ? 0u : side - 1u);
    return n;
}

DEVICE Texel texel(const Words scene, const u32 texture, const u32 x, const u32 y) {
    const float part = 0.003921569f; // 1/255
    const u32 word = scene[scene[H_TEXELS] + scene[texture] + y * scene[texture + 1u] + x];
    const u32 r = word & 255u, g = (word >> 8) & 255u, b = (word >> 16) & 255u, a = word >> 24;
    if ((scene[texture + 3u] & TEXTURE_SRGB) == 0u) {
        return texel_of(U2F(r) * part, U2F(g) * part, U2F(b) * part, U2F(a) * part);
    }
    const u32 table = scene[H_SRGB];
    return texel_of(number(scene, table + r), number(scene, table + g), number(scene, table + b), U2F(a) * part);
}

DEVICE float mixed(const float a, const float b, const float c, const float d, const float fx, const float fy) {
    const float above = FFMA(b - a, fx, a);
    const float below = FFMA(d - c, fx, c);
    return FFMA(below - above, fy, above);
}

DEVICE Texel sampled(const Words scene, const u32 place, const Coordinates c) {
    if (scene[place] == NONE) {
        return texel_of(1.0f, 1.0f, 1.0f, 1.0f);
    }
    const bool second = (scene[place + 1u] & 1u) != 0u;
    const float s0 = second ? c.s1 : c.s0, t0 = second ? c.t1 : c.t0;
    const float s1 = FFMA(number(scene, place + 2u), s0, FFMA(number(scene, place + 3u), t0, number(scene, place + 4u)));
    const float t1 = FFMA(number(scene, place + 5u), s0, FFMA(number(scene, place + 6u), t0, number(scene, place + 7u)));
    const u32 texture = scene[H_TEXTURES] + scene[place] * TEXTURE_WORDS;
    const u32 width = scene[texture + 1u], height = scene[texture + 2u], flags = scene[texture + 3u];
    const float s = folded(s1, flags), t = folded(t1, flags >> WRAP_VERTICAL);
    if (flags & TEXTURE_NEAREST) {
        const u32 x = least(F2U(s * U2F(width)), width - 1u), y = least(F2U(t * U2F(height)), height - 1u);
        return texel(scene, texture, x, y);
    }
    const Neighbours h = neighbours(s, width, flags), v = neighbours(t, height, flags >> WRAP_VERTICAL);
    const Texel a = texel(scene, texture, h.before, v.before), b = texel(scene, texture, h.after, v.before);
    const Texel d = texel(scene, texture, h.before, v.after), e = texel(scene, texture, h.after, v.after);
    return texel_of(mixed(a.r, b.r, d.r, e.r, h.part, v.part), mixed(a.g, b.g, d.g, e.g, h.part, v.part),
                    mixed(a.b, b.b, d.b, e.b, h.part, v.part), mixed(a.a, b.a, d.a, e.a, h.part, v.part));
}

// Surfaces: surface.rs.

typedef struct {
    V3 position, out, flat, normal, color, emission, straight, diffuse, through, f0;
    float opacity, f90, d0, d90, alpha, access;
    bool unlit;
} Surface;

DEVICE float schlick(const float cosine) {
    const float x = clamped(1.0f - cosine, 0.0f, 1.0f);
    const float x2 = x * x;
    return x2 * x2 * x;
}

DEVICE float between(const Words scene, const u32 place, const u32 stride, const float u, const float v) {
    const float a = number(scene, place), b = number(scene, place + stride), c = number(scene, place + 2u * stride);
    return FFMA(c, v, FFMA(b, u, a * (1.0f - u - v)));
}

DEVICE V3 three_between(const Words scene, const u32 place, const u32 stride, const float u, const float v) {
    return v3(between(scene, place, stride, u, v), between(scene, place + 1u, stride, u, v),
              between(scene, place + 2u, stride, u, v));
}

// Where a triangle's attributes of one kind begin.
DEVICE u32 attribute(const Words scene, const u32 shade, const u32 kind) {
    const u32 before = scene[shade + 2u] & (kind - 1u);
    return scene[H_ATTRIBUTES] + scene[shade + 3u] + ((before & NORMALS) ? 9u : 0u) + ((before & TANGENTS) ? 12u : 0u) +
           ((before & UV0) ? 6u : 0u) + ((before & UV1) ? 6u : 0u);
}

DEVICE Coordinates texture_coordinates(const Words scene, const u32 shade, const float u, const float v) {
    const u32 flags = scene[shade + 2u];
    Coordinates c;
    c.s0 = c.t0 = c.s1 = c.t1 = 0.0f;
    if (flags & UV0) {
        const u32 place = attribute(scene, shade, UV0);
        c.s0 = between(scene, place, 2u, u, v);
        c.t0 = between(scene, place + 1u, 2u, u, v);
    }
    if (flags & UV1) {
        const u32 place = attribute(scene, shade, UV1);
        c.s1 = between(scene, place, 2u, u, v);
        c.t1 = between(scene, place + 1u, 2u, u, v);
    }
    return c;
}

DEVICE Texel base_color(const Words scene, const u32 shade, const u32 made_of, const float u, const float v, const Coordinates c) {
    const u32 place = made_of + M_BASE_COLOR;
    V3 color = three(scene, place);
    float opacity = number(scene, place + 3u);
    if (scene[made_of] & TEXTURED) {
        const Texel t = sampled(scene, made_of + USE_BASE, c);
        color = times(color, v3(t.r, t.g, t.b));
        opacity *= t.a;
    }
    if (scene[shade + 2u] & COLORS) {
        const u32 colors = attribute(scene, shade, COLORS);
        color = times(color, three_between(scene, colors, 4u, u, v));
        opacity *= between(scene, colors + 3u, 4u, u, v);
    }
    return texel_of(color.x, color.y, color.z, opacity);
}

DEVICE float opacity_of(const Words scene, const u32 made_of, const float opacity) {
    const u32 flags = scene[made_of];
    if (flags & MASK) {
        return opacity >= number(scene, made_of + M_CUTOFF) ? 1.0f : 0.0f;
    }
    return (flags & BLEND) ? clamped(opacity, 0.0f, 1.0f) : 1.0f;
}

DEVICE V3 emission_at(const Words scene, const u32 slot, const float u, const float v) {
    const u32 shade = scene[H_SHADES] + slot * SHADE_WORDS;
    const u32 made_of = scene[H_MATERIALS] + scene[shade] * MATERIAL_WORDS;
    const Coordinates c = texture_coordinates(scene, shade, u, v);
    const Texel base = base_color(scene, shade, made_of, u, v, c);
    const Texel t = sampled(scene, made_of + USE_EMISSIVE, c);
    return scaled(times(three(scene, made_of + M_EMISSIVE), v3(t.r, t.g, t.b)), opacity_of(scene, made_of, base.a));
}

DEVICE V3 bent(const Words scene, const u32 shade, const u32 made_of, const float u, const float v, const Coordinates c,
               const V3 normal) {
    const u32 place = attribute(scene, shade, TANGENTS);
    const V3 along = three_between(scene, place, 4u, u, v);
    const V3 tangent = normalized(scaled_onto(normal, -dot3(along, normal), along));
    const V3 bitangent = scaled(cross3(normal, tangent), number(scene, place + 3u));
    const Texel t = sampled(scene, made_of + USE_NORMAL, c);
    const float scale = number(scene, made_of + M_NORMAL_SCALE);
    const float x = FFMA(t.r, 2.0f, -1.0f) * scale, y = FFMA(t.g, 2.0f, -1.0f) * scale, z = FFMA(t.b, 2.0f, -1.0f);
    const V3 bent = normalized(scaled_onto(tangent, x, scaled_onto(bitangent, y, scaled(normal, z))));
    return dot3(bent, bent) > 0.0f ? bent : normal;
}

DEVICE float affine(const Words scene, const u32 place, const V3 p) {
    return FFMA(number(scene, place), p.x,
                FFMA(number(scene, place + 8u), p.y, FFMA(number(scene, place + 16u), p.z, number(scene, place + 24u))));
}

DEVICE void surface_at(const Words scene, const Ray *const ray, const Hit hit, Surface *const s) {
    const u32 shade = scene[H_SHADES] + hit.slot * SHADE_WORDS;
    const u32 made_of = scene[H_MATERIALS] + scene[shade] * MATERIAL_WORDS;
    const u32 attributes = scene[shade + 2u], flags = scene[made_of];
    const u32 lane = scene[H_GROUPS] + (hit.slot / 8u) * GROUP_WORDS + hit.slot % 8u;
    s->position = scaled_onto(ray->direction, hit.distance, ray->origin);
    const float u = affine(scene, lane + ROW_U, s->position), v = affine(scene, lane + ROW_V, s->position);
    const V3 front = v3(number(scene, lane), number(scene, lane + 8u), number(scene, lane + 16u));
    const bool is_front = dot3(front, ray->direction) < 0.0f;
    s->out = negated(ray->direction);

    V3 normal = front;
    if (attributes & NORMALS) {
        normal = normalized(three_between(scene, attribute(scene, shade, NORMALS), 3u, u, v));
    }
    const bool textured = (flags & TEXTURED) != 0u;
    Coordinates c;
    c.s0 = c.t0 = c.s1 = c.t1 = 0.0f;
    if (textured) {
        c = texture_coordinates(scene, shade, u, v);
        if (attributes & TANGENTS) {
            normal = bent(scene, shade, made_of, u, v, c, normal);
        }
    }
    s->flat = is_front ? front : negated(front);
    s->normal = is_front ? normal : negated(normal);
    if (dot3(s->normal, s->out) < 0.01f) {
        s->normal = s->flat;
    }

    const Texel base = base_color(scene, shade, made_of, u, v, c);
    s->color = v3(base.r, base.g, base.b);
    s->unlit = (flags & UNLIT) != 0u;
    s->opacity = opacity_of(scene, made_of, base.a);
    const float gone = 1.0f - s->opacity;
    s->straight = v3(gone, gone, gone);
    s->emission = s->diffuse = s->through = s->f0 = v3(0.0f, 0.0f, 0.0f);
    s->f90 = s->d0 = s->d90 = s->alpha = 0.0f;
    s->access = 1.0f;
    if (s->unlit) {
        s->emission = s->color;
        return;
    }
    float metallic = number(scene, made_of + M_METALLIC);
    float roughness = number(scene, made_of + M_ROUGHNESS);
    float transmission = number(scene, made_of + M_TRANSMISSION);
    if (flags & EMITS) {
        s->emission = three(scene, made_of + M_EMISSIVE);
    }
    if (textured) {
        const Texel mr = sampled(scene, made_of + USE_METALLIC_ROUGHNESS, c);
        metallic *= mr.b;
        roughness *= mr.g;
        transmission *= sampled(scene, made_of + USE_TRANSMISSION, c).r;
        const Texel e = sampled(scene, made_of + USE_EMISSIVE, c);
        s->emission = times(s->emission, v3(e.r, e.g, e.b));
        const float open = sampled(scene, made_of + USE_OCCLUSION, c).r;
        s->access = FFMA(open - 1.0f, number(scene, made_of + M_OCCLUSION), 1.0f);
    }
    const float d0 = number(scene, made_of + M_F0), d90 = number(scene, made_of + M_F90);
    s->d0 = d0;
    s->d90 = d90;
    s->f0 = scaled_onto(plus(s->color, v3(-d0, -d0, -d0)), metallic, v3(d0, d0, d0));
    s->f90 = FFMA(1.0f - d90, metallic, d90);
    s->alpha = larger(roughness * roughness, 0.001f);
    const V3 body = scaled(s->color, 1.0f - metallic);
    s->diffuse = scaled(body, 1.0f - transmission);
    if (transmission > 0.0f) {
        const V3 passing = scaled(body, transmission);
        if (roughness <= CLEAR) {
            const float enters = 1.0f - FFMA(d90 - d0, schlick(dot3(s->out, s->normal)), d0);
            s->straight = scaled_onto(passing, enters * s->opacity, s->straight);
        } else {
            s->through = passing;
        }
    }
}

// Scattering: scatter.rs.

typedef struct {
    V3 part;
    float density;
} Scattering;

typedef struct {
    float diffuse, mirror, through;
} Lobes;

typedef struct {
    float weight, shine, density;
} Facet;

DEVICE float spread(const float a2, const float c) { return FSQRT(FFMA(1.0f - a2, c * c, a2)); }

DEVICE Facet facet_of(const Surface *const s, const V3 direction, const float cosine) {
    const V3 half_way = normalized(plus(s->out, direction));
    Facet facet;
    facet.weight = schlick(dot3(s->out, half_way));
    const float a2 = s->alpha * s->alpha;
    const float up = dot3(s->normal, half_way);
    const V3 level = cross3(s->normal, half_way);
    const float base = FFMA(a2, up * up, dot3(level, level));
    const float distribution = FDIV(a2 * INV_PI, base * base);
    const float out = dot3(s->normal, s->out);
    const float s_out = spread(a2, out), s_in = spread(a2, cosine);
    facet.shine = FDIV(distribution * cosine * 0.5f, FFMA(cosine, s_out, out * s_in));
    facet.density = FDIV(distribution * 0.5f, out + s_out);
    return facet;
}

DEVICE float enters_of(const Surface *const s, const float weight) { return 1.0f - FFMA(s->d90 - s->d0, weight, s->d0); }

DEVICE V3 fresnel(const Surface *const s, const float weight) {
    return scaled_onto(plus(v3(s->f90, s->f90, s->f90), negated(s->f0)), weight, s->f0);
}

// Whether anything is scattered, and if so how often each way is drawn.
DEVICE bool lobes_of(const Surface *const s, Lobes *const lobes) {
    const float weight = schlick(dot3(s->out, s->normal));
    const float enters = enters_of(s, weight);
    const float mirror = largest(fresnel(s, weight));
    const float diffuse = largest(s->diffuse) * enters;
    const float through = largest(s->through) * enters;
    const float sum = mirror + diffuse + through;
    if (!(sum > 0.0f)) {
        return false;
    }
    if (sum == diffuse) {
        lobes->diffuse = 1.0f;
        lobes->mirror = lobes->through = 0.0f;
        return true;
    }
    const float scale = FDIV(1.0f, sum);
    lobes->diffuse = diffuse * scale;
    lobes->mirror = mirror * scale;
    lobes->through = through * scale;
    return true;
}

DEVICE Scattering scattering_of(const Surface *const s, const Lobes lobes, const V3 direction) {
    Scattering nothing;
    nothing.part = v3(0.0f, 0.0f, 0.0f);
    nothing.density = 0.0f;
    Scattering scattering;
    float cosine = dot3(s->normal, direction);
    if (dot3(s->flat, direction) > 0.0f) {
        if (!(cosine > 0.0f)) {
            return nothing;
        }
        const float lambert = cosine * INV_PI;
        if (!(s->f90 > 0.0f)) {
            scattering.part = scaled(s->diffuse, lambert);
            scattering.density = lobes.diffuse * lambert;
            return scattering;
        }
        const Facet facet = facet_of(s, direction, cosine);
        const V3 body = scaled(s->diffuse, lambert * enters_of(s, facet.weight));
        scattering.part = scaled_onto(fresnel(s, facet.weight), facet.shine, body);
        scattering.density = FFMA(lobes.mirror, facet.density, lobes.diffuse * lambert);
        return scattering;
    }
    cosine = -cosine;
    if (!(lobes.through > 0.0f && cosine > 0.0f)) {
        return nothing;
    }
    const V3 mirrored = scaled_onto(s->normal, 2.0f * cosine, direction);
    const Facet facet = facet_of(s, mirrored, cosine);
    scattering.part = scaled(s->through, facet.shine * enters_of(s, facet.weight));
    scattering.density = lobes.through * facet.density;
    return scattering;
}

typedef struct {
    V3 direction, weight;
    float density;
    bool is_diffuse;
} Drawn;

DEVICE bool drawn_of(const Surface *const s, const Lobes lobes, const float a, const float b, const float choice, Drawn *const drawn) {
    const V3 n = s->normal;
    const float sign = n.z >= 0.0f ? 1.0f : -1.0f;
    const float f = FDIV(-1.0f, sign + n.z);
    const float g = n.x * n.y * f;
    const V3 tangent = v3(FFMA(sign * n.x * n.x, f, 1.0f), sign * g, -(sign * n.x));
    const V3 bitangent = v3(g, FFMA(n.y * n.y, f, sign), -n.y);
    const Turn turn = sin_cos(a);
    drawn->is_diffuse = choice < lobes.diffuse;
    if (drawn->is_diffuse) {
        const float radius = FSQRT(b);
        const float up = FSQRT(larger(1.0f - b, 0.0f));
        const V3 level = scaled_onto(tangent, radius * turn.cosine, scaled(bitangent, radius * turn.sine));
        drawn->direction = scaled_onto(n, up, level);
        if (!(lobes.diffuse < 1.0f)) {
            drawn->weight = s->diffuse;
            drawn->density = up * INV_PI;
            return up > 0.0f && dot3(s->flat, drawn->direction) > 0.0f;
        }
    } else {
        const V3 out = v3(dot3(s->out, tangent), dot3(s->out, bitangent), dot3(s->out, n));
        const V3 stretched = normalized(v3(out.x * s->alpha, out.y * s->alpha, out.z));
        const float z = FFMA(1.0f - b, 1.0f + stretched.z, -stretched.z);
        const float radius = FSQRT(clamped(FFMA(z, -z, 1.0f), 0.0f, 1.0f));
        const V3 cap = plus(v3(radius * turn.cosine, radius * turn.sine, z), stretched);
        const V3 facet = normalized(v3(cap.x * s->alpha, cap.y * s->alpha, larger(cap.z, 0.0f)));
        const V3 leaves = scaled_onto(facet, 2.0f * dot3(out, facet), negated(out));
        if (!(leaves.z > 0.0f)) {
            return false;
        }
        const float up = choice < lobes.diffuse + lobes.mirror ? leaves.z : -leaves.z;
        const V3 level = scaled_onto(tangent, leaves.x, scaled(bitangent, leaves.y));
        drawn->direction = normalized(scaled_onto(n, up, level));
    }
    const Scattering scattering = scattering_of(s, lobes, drawn->direction);
    if (!(scattering.density > 0.0f)) {
        return false;
    }
    drawn->weight = scaled(scattering.part, FDIV(1.0f, scattering.density));
    drawn->density = scattering.density;
    return true;
}

// Lights: light.rs.

typedef struct {
    V3 direction, place, radiance;
    float density;
    bool is_far, can_be_hit;
} Lit;

DEVICE float weight_over(const float density, const float other_density) {
    const float own = smaller(density, DENSEST), other = smaller(other_density, DENSEST);
    return FDIV(own, FFMA(own, own, other * other));
}

DEVICE float weight_of(const float density, const float other_density) {
    const float own = smaller(density, DENSEST), other = smaller(other_density, DENSEST);
    return FDIV(own * own, FFMA(own, own, other * other));
}

DEVICE u32 alias_of(const Words scene, const u32 table, const u32 stride, const u32 count, const u32 word, const u32 other) {
    const u32 at = MULHI(word, count);
    const u32 row = table + at * stride;
    return unit(other) < number(scene, row) ? at : scene[row + 1u];
}

DEVICE V3 sky_texel(const Words scene, const u32 x, const u32 y) {
    return three(scene, scene[H_SKY] + (y * scene[H_SKY_WIDTH] + x) * 3u);
}

DEVICE V3 mix3(const V3 a, const V3 b, const float part) { return scaled_onto(minus(b, a), part, a); }

DEVICE V3 sky_at(const Words scene, const float u, const float v) {
    const Neighbours h = neighbours(u, scene[H_SKY_WIDTH], 0u), w = neighbours(v, scene[H_SKY_HEIGHT], WRAP_CLAMP);
    const V3 above = mix3(sky_texel(scene, h.before, w.before), sky_texel(scene, h.after, w.before), h.part);
    const V3 below = mix3(sky_texel(scene, h.before, w.after), sky_texel(scene, h.after, w.after), h.part);
    return mix3(above, below, w.part);
}

DEVICE V3 sky_of(const Words scene, const V3 direction, float *const density) {
    const u32 width = scene[H_SKY_WIDTH], height = scene[H_SKY_HEIGHT];
    if (width == 0u) {
        *density = 0.0f;
        return three(scene, H_SKY_CONSTANT);
    }
    const float around = turns_of(direction.z, direction.x) + 0.5f + number(scene, H_SKY_TURN);
    const float u = around - FFLOOR(around);
    const float level = FSQRT(FFMA(direction.x, direction.x, direction.z * direction.z));
    const float v = clamped(2.0f * turns_of(level, direction.y), 0.0f, 1.0f);
    const u32 x = least(F2U(u * U2F(width)), width - 1u), y = least(F2U(v * U2F(height)), height - 1u);
    const u32 row = scene[H_SKY_TABLE] + (y * width + x) * SKY_TABLE_WORDS;
    *density = number(scene, H_SKY_CHANCE) * FDIV(number(scene, row + 2u), larger(level, 1e-6f));
    return sky_at(scene, u, v);
}

DEVICE bool light_of(const Words scene, const V3 from, const Random random, const u32 block, Lit *const lit) {
    const Four words = block_of(random, block);
    const u32 at = alias_of(scene, scene[H_EMITTERS] + E_THRESHOLD, EMITTER_WORDS, scene[H_EMITTER_COUNT], words.x, words.y);
    const u32 record = scene[H_EMITTERS] + at * EMITTER_WORDS;
    const u32 flags = scene[record], kind = flags & 255u;
    const float density = number(scene, record + E_DENSITY);
    lit->place = v3(0.0f, 0.0f, 0.0f);
    lit->is_far = false;
    lit->can_be_hit = true;
    lit->density = density;
    if (kind == E_TRIANGLE) {
        float u = unit(words.z), v = unit(words.w);
        if (u + v > 1.0f) {
            u = 1.0f - u;
            v = 1.0f - v;
        }
        const V3 edges = scaled_onto(three(scene, record + E_EDGE1), u, three(scene, record + E_CORNER));
        const V3 place = scaled_onto(three(scene, record + E_EDGE2), v, edges);
        const V3 way = minus(place, from);
        const float square = dot3(way, way);
        lit->direction = scaled(way, FDIV(1.0f, FSQRT(square)));
        V3 normal = three(scene, record + E_NORMAL);
        float cosine = -dot3(normal, lit->direction);
        if (cosine < 0.0f && (flags & BOTH_SIDES)) {
            cosine = -cosine;
            normal = negated(normal);
        }
        if (!(cosine > 0.0f && square > 0.0f)) {
            return false;
        }
        lit->radiance = (flags & VARIES) ? emission_at(scene, scene[record + E_SLOT], u, v) : three(scene, record + E_RADIANCE);
        lit->place = scaled_onto(normal, number(scene, H_OFFSET), place);
        lit->density = FDIV(density * square, cosine);
        return true;
    }
    if (kind == E_SKY) {
        const u32 width = scene[H_SKY_WIDTH], height = scene[H_SKY_HEIGHT];
        const Four further = block_of(random, SKY_BLOCK + block);
        const u32 texel = alias_of(scene, scene[H_SKY_TABLE], SKY_TABLE_WORDS, width * height, further.x, further.y);
        const u32 x = texel % width, y = texel / width;
        const float u = FDIV(U2F(x) + unit(further.z), U2F(width));
        const float v = FDIV(U2F(y) + unit(further.w), U2F(height));
        const float turns = u + 0.5f - number(scene, H_SKY_TURN);
        const Turn around = sin_cos(turns - FFLOOR(turns));
        const Turn down = sin_cos(v * 0.5f);
        if (!(down.sine > 0.0f)) {
            return false;
        }
        lit->density = FDIV(density * number(scene, scene[H_SKY_TABLE] + texel * SKY_TABLE_WORDS + 2u), down.sine);
        lit->direction = v3(down.sine * around.cosine, down.cosine, down.sine * around.sine);
        lit->radiance = sky_at(scene, u, v);
        lit->is_far = true;
        return true;
    }
    lit->can_be_hit = false;
    if (kind == E_DIRECTIONAL) {
        lit->direction = negated(three(scene, record + E_DIRECTION));
        lit->radiance = three(scene, record + E_INTENSITY);
        lit->is_far = true;
        return true;
    }
    lit->place = three(scene, record + E_PLACE);
    const V3 way = minus(lit->place, from);
    const float square = dot3(way, way);
    if (!(square > 0.0f)) {
        return false;
    }
    lit->direction = scaled(way, FDIV(1.0f, FSQRT(square)));
    const float inv_range = number(scene, record + E_INV_RANGE);
    const float part = square * inv_range * inv_range;
    float strength = FDIV(clamped(FFMA(part, -part, 1.0f), 0.0f, 1.0f), square);
    if (kind == E_SPOT) {
        const float cosine = -dot3(three(scene, record + E_DIRECTION), lit->direction);
        const float scale = number(scene, record + E_CONE_SCALE);
        const float cone = clamped(FFMA(cosine, scale, number(scene, record + E_CONE_OFFSET)), 0.0f, 1.0f);
        strength *= cone * cone;
    }
    if (!(strength > 0.0f)) {
        return false;
    }
    lit->radiance = scaled(three(scene, record + E_INTENSITY), strength);
    return true;
}

DEVICE float density_of(const Words scene, const u32 slot, const float square, const float cosine) {
    const u32 at = scene[scene[H_SHADES] + slot * SHADE_WORDS + 1u];
    if (at == NONE) {
        return 0.0f;
    }
    const float density = number(scene, scene[H_EMITTERS] + at * EMITTER_WORDS + E_DENSITY);
    return FDIV(density * square, larger(cosine, 1e-12f));
}

// Paths: reference.rs.

typedef struct {
    V3 light, albedo, normal;
    float depth;
} Seen;

DEVICE V3 off(const Words scene, const V3 position, const V3 flat, const V3 direction) {
    const float offset = number(scene, H_OFFSET);
    return scaled_onto(flat, dot3(flat, direction) < 0.0f ? -offset : offset, position);
}

DEVICE V3 let_through(const Words scene, V3 origin, const Lit lit) {
    V3 part = v3(1.0f, 1.0f, 1.0f);
    for (u32 pass = 0u; pass < PASSES_MAX; pass++) {
        Ray ray;
        ray.origin = origin;
        ray.direction = lit.direction;
        float limit = LARGEST;
        if (!lit.is_far) {
            const V3 way = minus(lit.place, origin);
            limit = FSQRT(dot3(way, way));
            ray.direction = scaled(way, FDIV(1.0f, limit));
        }
        const Hit hit = nearest(scene, &ray, limit);
        if (hit.slot == NONE) {
            return part;
        }
        Surface surface;
        surface_at(scene, &ray, hit, &surface);
        part = times(part, surface.straight);
        if (!(largest(part) > 0.0f)) {
            return v3(0.0f, 0.0f, 0.0f);
        }
        origin = off(scene, surface.position, surface.flat, ray.direction);
    }
    return v3(0.0f, 0.0f, 0.0f);
}

DEVICE V3 lit_by(const Words scene, const Random random, const u32 block, const Surface *const s, const Lobes lobes) {
    const V3 dark = v3(0.0f, 0.0f, 0.0f);
    Lit lit;
    if (!light_of(scene, s->position, random, block, &lit)) {
        return dark;
    }
    const Scattering scattering = scattering_of(s, lobes, lit.direction);
    V3 part = times(scattering.part, lit.radiance);
    if (!(largest(part) > 0.0f)) {
        return dark;
    }
    part = scaled(part, weight_over(lit.density, lit.can_be_hit ? scattering.density : 0.0f));
    const V3 origin = off(scene, s->position, s->flat, lit.direction);
    if ((scene[H_FLAGS] & FLAG_SEE_THROUGH) == 0u) {
        Ray ray;
        ray.origin = origin;
        ray.direction = lit.is_far ? lit.direction : minus(lit.place, origin);
        return meets_any(scene, &ray, lit.is_far ? LARGEST : 1.0f) ? dark : part;
    }
    return times(part, let_through(scene, origin, lit));
}

DEVICE Seen path(const Words scene, const u32 max_depth, const Random random, Ray ray) {
    Seen seen;
    seen.light = seen.albedo = seen.normal = v3(0.0f, 0.0f, 0.0f);
    seen.depth = 0.0f;
    V3 throughput = v3(1.0f, 1.0f, 1.0f);
    float access = 1.0f, density = 0.0f, travelled = 0.0f;
    u32 depth = 1u, passes = 0u;
    bool is_first = true;
    for (;;) {
        const Hit hit = nearest(scene, &ray, LARGEST);
        if (hit.slot == NONE) {
            float other;
            const V3 radiance = sky_of(scene, ray.direction, &other);
            const float weight = density > 0.0f ? weight_of(density, other) : 1.0f;
            seen.light = scaled_onto(times(throughput, radiance), weight, seen.light);
            return seen;
        }
        Surface s;
        surface_at(scene, &ray, hit, &s);
        travelled += hit.distance;
        const float passing = smaller(largest(s.straight), 1.0f);
        if (passing > 0.0f) {
            if (unit(block_of(random, PASS_BLOCK + passes).x) < passing) {
                passes++;
                if (passes == PASSES_MAX) {
                    return seen;
                }
                throughput = scaled(times(throughput, s.straight), FDIV(1.0f, passing));
                ray.origin = off(scene, s.position, s.flat, ray.direction);
                continue;
            }
            throughput = scaled(throughput, FDIV(s.opacity, 1.0f - passing));
        }
        if (is_first) {
            is_first = false;
            seen.albedo = s.color;
            seen.normal = s.normal;
            seen.depth = dot3(minus(s.position, three(scene, H_POSITION)), three(scene, H_FORWARD));
        }
        if (largest(s.emission) > 0.0f) {
            float weight = 1.0f;
            if (density > 0.0f) {
                const float other = density_of(scene, hit.slot, travelled * travelled, dot3(s.flat, s.out));
                weight = weight_of(density, other);
            }
            seen.light = scaled_onto(times(throughput, s.emission), weight, seen.light);
        }
        Lobes lobes;
        if (s.unlit || depth == max_depth || !lobes_of(&s, &lobes)) {
            return seen;
        }
        throughput = scaled(throughput, access);
        const u32 block = 2u * depth - 1u;
        if (scene[H_EMITTER_COUNT] > 0u) {
            seen.light = plus(seen.light, times(throughput, lit_by(scene, random, block, &s, lobes)));
        }
        const Four words = block_of(random, block + 1u);
        Drawn drawn;
        if (!drawn_of(&s, lobes, unit(words.x), unit(words.y), unit(words.z), &drawn)) {
            return seen;
        }
        throughput = times(throughput, drawn.weight);
        if (depth >= ROULETTE_DEPTH) {
            const float stays = smaller(largest(throughput), 0.95f);
            if (!(unit(words.w) < stays)) {
                return seen;
            }
            throughput = scaled(throughput, FDIV(1.0f, stays));
        }
        access = drawn.is_diffuse ? s.access : 1.0f;
        density = drawn.density;
        ray.origin = off(scene, s.position, s.flat, drawn.direction);
        ray.direction = drawn.direction;
        travelled = 0.0f;
        depth++;
    }
}

DEVICE V3 finite(const V3 v) {
    const bool fits = FABS(v.x) <= LARGEST && FABS(v.y) <= LARGEST && FABS(v.z) <= LARGEST;
    return fits ? v : v3(0.0f, 0.0f, 0.0f);
}

typedef struct {
    u32 width, height, samples, pass_samples, max_depth, seed, aovs, unused;
} Settings;

DEVICE Ray camera_ray(const Words scene, const Settings settings, const Random random, const u32 x, const u32 y) {
    const Four words = block_of(random, 0u);
    const float pixel = FDIV(2.0f * number(scene, H_TAN_HALF_FOV), U2F(settings.height));
    const float across = (U2F(x) + unit(words.x) - U2F(settings.width) * 0.5f) * pixel;
    const float down = (U2F(y) + unit(words.y) - U2F(settings.height) * 0.5f) * pixel;
    const V3 right = three(scene, H_RIGHT), up = three(scene, H_UP);
    V3 direction = scaled_onto(up, -down, scaled_onto(right, across, three(scene, H_FORWARD)));
    Ray ray;
    ray.origin = three(scene, H_POSITION);
    const float aperture = number(scene, H_APERTURE);
    if (aperture > 0.0f) {
        const Turn turn = sin_cos(unit(words.z));
        const float radius = FSQRT(unit(words.w)) * aperture;
        const V3 lens = scaled_onto(up, radius * turn.sine, scaled(right, radius * turn.cosine));
        direction = scaled_onto(direction, number(scene, H_FOCUS), negated(lens));
        ray.origin = plus(ray.origin, lens);
    }
    ray.direction = normalized(direction);
    return ray;
}

// Six groups are twelve warps, which leaves each thread 168 registers: with two more there would be room for eight.
KERNEL GROUPS(64, 6) render(const Words scene, const Settings settings, const u32 first_element, const u32 elements, GLOBAL float *const out) {
    const u32 item = GID0();
    if (item >= elements * 256u) {
        return;
    }
    const u32 columns = (settings.width + 15u) / 16u, blocks = columns * ((settings.height + 15u) / 16u);
    const u32 element = first_element + item / 256u, pixel = item % 256u;
    const u32 block = element % blocks;
    const u32 x = block % columns * 16u + pixel % 16u, y = block / columns * 16u + pixel / 16u;
    Seen sum;
    sum.light = sum.albedo = sum.normal = v3(0.0f, 0.0f, 0.0f);
    sum.depth = 0.0f;
    if (x < settings.width && y < settings.height) {
        const u32 first = element / blocks * settings.pass_samples;
        const u32 last = first + least(settings.pass_samples, settings.samples - first);
        Random random;
        random.pixel = y * settings.width + x;
        random.seed = settings.seed;
        for (random.sample = first; random.sample < last; random.sample++) {
            const Seen seen = path(scene, settings.max_depth, random, camera_ray(scene, settings, random, x, y));
            sum.light = plus(sum.light, finite(seen.light));
            sum.albedo = plus(sum.albedo, finite(seen.albedo));
            sum.normal = plus(sum.normal, finite(seen.normal));
            sum.depth += finite(v3(seen.depth, 0.0f, 0.0f)).x;
        }
    }
    const u32 channels = 3u + ((settings.aovs & 1u) ? 3u : 0u) + ((settings.aovs & 2u) ? 3u : 0u) + ((settings.aovs & 4u) ? 1u : 0u);
    GLOBAL float *at = out + item * channels;
    *at++ = sum.light.x;
    *at++ = sum.light.y;
    *at++ = sum.light.z;
    if (settings.aovs & 1u) {
        *at++ = sum.albedo.x;
        *at++ = sum.albedo.y;
        *at++ = sum.albedo.z;
    }
    if (settings.aovs & 2u) {
        *at++ = sum.normal.x;
        *at++ = sum.normal.y;
        *at++ = sum.normal.z;
    }
    if (settings.aovs & 4u) {
        *at++ = sum.depth;
    }
}
