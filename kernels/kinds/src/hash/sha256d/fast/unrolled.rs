//! SHA-256d over any word that holds several nonces side by side, unrolled, with everything fixed folded away.
//!
//! Written once for every [`Lanes`]. Everything is `inline(always)`: the caller's instruction set applies, and the
//! constant words of padding fold.

use crate::hash::lanes::{Lanes, big_sigma0, big_sigma1, small_sigma0, small_sigma1};
use crate::hash::sha256d::Prepared;
use crate::hash::sha256d::reference::{INITIAL, K};

/// The eight working variables, and `a ^ b` of the last round, which is `b ^ c` of the next.
struct Working<L> {
    v: [L; 8],
    b_xor_c: L,
}

impl<L: Lanes> Working<L> {
    #[inline(always)]
    fn new(v: [L; 8]) -> Self {
        Self { v, b_xor_c: v[1].xor(v[2]) }
    }

    /// The first half of a round: the sum that goes into both `a` and `e`.
    #[inline(always)]
    fn t1(&self, kw: L) -> L {
        let [_, _, _, _, e, f, g, h] = self.v;
        let choice = g.xor(e.and(f.xor(g)));
        h.add(kw).add(choice).add(big_sigma1(e))
    }

    #[inline(always)]
    fn round(&mut self, kw: L) {
        let t1 = self.t1(kw);
        let [a, b, c, d, e, f, g, _] = self.v;
        let a_xor_b = a.xor(b);
        let majority = b.xor(a_xor_b.and(self.b_xor_c));
        self.b_xor_c = a_xor_b;
        self.v = [t1.add(big_sigma0(a)).add(majority), a, b, c, d.add(t1), e, f, g];
    }

    /// A round whose `a` nobody will read.
    #[inline(always)]
    fn round_for_e(&mut self, kw: L) {
        let t1 = self.t1(kw);
        let [a, b, c, d, e, f, g, _] = self.v;
        self.v = [a, a, b, c, d.add(t1), e, f, g];
    }
}

/// The last state word of the second hash, for nonce words (nonces with their bytes swapped) in `nonce`.
#[inline(always)]
pub(super) fn last_state_word<L: Lanes>(fixed: &Prepared, nonce: L) -> L {
    let s = L::splat;
    let mut work = Working::new(fixed.after_round_3.map(s));
    work.v[0] = work.v[0].add(nonce);
    work.v[4] = work.v[4].add(nonce);

    let mut w = [s(0); 64];
    macro_rules! rounds {
        ($($t:literal)*) => { $( work.round(s(K[$t]).add(w[$t])); )* };
    }
    macro_rules! extend {
        ($($t:literal)*) => { $(
            w[$t] = small_sigma1(w[$t - 2]).add(w[$t - 7]).add(small_sigma0(w[$t - 15])).add(w[$t - 16]);
        )* };
    }

    w[3] = nonce;
    w[4] = s(0x8000_0000);
    w[15] = s(640);
    w[16] = s(fixed.w16);
    w[17] = s(fixed.w17);
    w[18] = s(fixed.w18).add(small_sigma0(nonce));
    w[19] = s(fixed.w19).add(nonce);
    w[20] = small_sigma1(w[18]).add(w[4]);
    w[21] = small_sigma1(w[19]);
    w[22] = small_sigma1(w[20]).add(w[15]);
    w[23] = small_sigma1(w[21]).add(w[16]);
    w[24] = small_sigma1(w[22]).add(w[17]);
    w[25] = small_sigma1(w[23]).add(w[18]);
    w[26] = small_sigma1(w[24]).add(w[19]);
    w[27] = small_sigma1(w[25]).add(w[20]);
    w[28] = small_sigma1(w[26]).add(w[21]);
    w[29] = small_sigma1(w[27]).add(w[22]);
    w[30] = small_sigma1(w[28]).add(w[23]).add(small_sigma0(w[15]));
    w[31] = small_sigma1(w[29]).add(w[24]).add(s(fixed.w31));
    w[32] = small_sigma1(w[30]).add(w[25]).add(s(fixed.w32));
    rounds!(4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
    macro_rules! extend_and_round {
        ($($t:literal)*) => { $( extend!($t); rounds!($t); )* };
    }
    extend_and_round!(33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48);
    extend_and_round!(49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);

    // The second hash: its message is the first one's digest, then padding for 256 bits.
    let mut message = [s(0); 64];
    for ((word, worked), mid) in message.iter_mut().zip(work.v).zip(fixed.midstate) {
        *word = worked.add(s(mid));
    }
    w = message;
    w[8] = s(0x8000_0000);
    w[15] = s(256);
    work = Working::new(INITIAL.map(s));
    rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    w[16] = small_sigma0(w[1]).add(w[0]);
    w[17] = small_sigma1(w[15]).add(small_sigma0(w[2])).add(w[1]);
    w[18] = small_sigma1(w[16]).add(small_sigma0(w[3])).add(w[2]);
    w[19] = small_sigma1(w[17]).add(small_sigma0(w[4])).add(w[3]);
    w[20] = small_sigma1(w[18]).add(small_sigma0(w[5])).add(w[4]);
    w[21] = small_sigma1(w[19]).add(small_sigma0(w[6])).add(w[5]);
    w[22] = small_sigma1(w[20]).add(w[15]).add(small_sigma0(w[7])).add(w[6]);
    w[23] = small_sigma1(w[21]).add(w[16]).add(small_sigma0(w[8])).add(w[7]);
    w[24] = small_sigma1(w[22]).add(w[17]).add(w[8]);
    w[25] = small_sigma1(w[23]).add(w[18]);
    w[26] = small_sigma1(w[24]).add(w[19]);
    w[27] = small_sigma1(w[25]).add(w[20]);
    w[28] = small_sigma1(w[26]).add(w[21]);
    w[29] = small_sigma1(w[27]).add(w[22]);
    w[30] = small_sigma1(w[28]).add(w[23]).add(small_sigma0(w[15]));
    rounds!(16 17 18 19 20 21 22 23 24 25 26 27 28 29 30);
    extend_and_round!(31 32 33 34 35 36 37 38 39 40 41 42 43);
    extend_and_round!(44 45 46 47 48 49 50 51 52 53 54 55 56);
    extend!(57 58 59 60);
    work.round_for_e(s(K[57]).add(w[57]));
    work.round_for_e(s(K[58]).add(w[58]));
    work.round_for_e(s(K[59]).add(w[59]));
    work.round_for_e(s(K[60]).add(w[60]));
    work.v[4].add(s(Prepared::LAST))
}
