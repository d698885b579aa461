//! MD5's compression of up to eight messages at once, each in one of the lanes of a vector register.
//!
//! Written from RFC 1321. On processors without 256-bit integer vectors the messages are taken one after the other. Invariant: every
//! lane's words are what its message alone would give.

/// Messages at once.
pub const LANES: usize = 8;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 64;

/// The state between two blocks.
pub type Words = [u32; 4];

/// Takes the blocks of each message into its words. All messages have one length, of whole blocks.
pub fn advance(lanes: &mut [(&mut Words, &[u8])]) {
    let len = lanes.first().map_or(0, |(_, message)| message.len());
    assert!(lanes.len() <= LANES && len.is_multiple_of(BLOCK_BYTES), "{} messages of {len} B", lanes.len());
    assert!(lanes.iter().all(|(_, message)| message.len() == len), "messages differ in length");
    #[cfg(target_arch = "x86_64")]
    if lanes.len() > 1 && wide::is_usable() {
        let mut words: [Words; LANES] = Default::default();
        let mut messages: [&[u8]; LANES] = [lanes[0].1; LANES];
        for (lane, (own, message)) in lanes.iter().enumerate() {
            (words[lane], messages[lane]) = (**own, message);
        }
        // SAFETY: the processor has what the function is compiled for.
        unsafe { wide::advance(&mut words, &messages, len / BLOCK_BYTES) };
        for ((own, _), words) in lanes.iter_mut().zip(words) {
            **own = words;
        }
        return;
    }
    for (words, message) in lanes {
        md5::block_api::compress(words, message.as_chunks::<BLOCK_BYTES>().0);
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    //! Eight lanes of AVX2.

    use super::{BLOCK_BYTES, LANES, Words};
    use std::arch::x86_64::{
        __m256i, _mm_extract_epi32, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_castsi256_si128,
        _mm256_extracti128_si256, _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set_epi32, _mm256_set_epi64x,
        _mm256_set1_epi32, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
        _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
    };

    /// `floor(2³² · |sin(n + 1)|)`.
    const SINES: [u32; 64] = [
        0xd76a_a478,
        0xe8c7_b756,
        0x2420_70db,
        0xc1bd_ceee,
        0xf57c_0faf,
        0x4787_c62a,
        0xa830_4613,
        0xfd46_9501,
        0x6980_98d8,
        0x8b44_f7af,
        0xffff_5bb1,
        0x895c_d7be,
        0x6b90_1122,
        0xfd98_7193,
        0xa679_438e,
        0x49b4_0821,
        0xf61e_2562,
        0xc040_b340,
        0x265e_5a51,
        0xe9b6_c7aa,
        0xd62f_105d,
        0x0244_1453,
        0xd8a1_e681,
        0xe7d3_fbc8,
        0x21e1_cde6,
        0xc337_07d6,
        0xf4d5_0d87,
        0x455a_14ed,
        0xa9e3_e905,
        0xfcef_a3f8,
        0x676f_02d9,
        0x8d2a_4c8a,
        0xfffa_3942,
        0x8771_f681,
        0x6d9d_6122,
        0xfde5_380c,
        0xa4be_ea44,
        0x4bde_cfa9,
        0xf6bb_4b60,
        0xbebf_bc70,
        0x289b_7ec6,
        0xeaa1_27fa,
        0xd4ef_3085,
        0x0488_1d05,
        0xd9d4_d039,
        0xe6db_99e5,
        0x1fa2_7cf8,
        0xc4ac_5665,
        0xf429_2244,
        0x432a_ff97,
        0xab94_23a7,
        0xfc93_a039,
        0x655b_59c3,
        0x8f0c_cc92,
        0xffef_f47d,
        0x8584_5dd1,
        0x6fa8_7e4f,
        0xfe2c_e6e0,
        0xa301_4314,
        0x4e08_11a1,
        0xf753_7e82,
        0xbd3a_f235,
        0x2ad7_d2bb,
        0xeb86_d391,
    ];

    /// Whether the processor has these lanes, and the compiler made more of them than calls.
    pub fn is_usable() -> bool {
        cfg!(any(test, not(debug_assertions))) && std::arch::is_x86_feature_detected!("avx2")
    }

    macro_rules! step {
        ($mix:ident, $a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $sine:expr, $turn:literal) => {
            let fed = _mm256_add_epi32($a, _mm256_add_epi32($word, _mm256_set1_epi32($sine.cast_signed())));
            let sum = _mm256_add_epi32(fed, $mix($b, $c, $d));
            let turned = _mm256_or_si256(_mm256_slli_epi32::<$turn>(sum), _mm256_srli_epi32::<{ 32 - $turn }>(sum));
            $a = _mm256_add_epi32($b, turned);
        };
    }

    /// Sixteen steps: the first word and the distance to the next, and by how many bits each of four steps turns.
    macro_rules! round {
        ($mix:ident, [$a:ident $b:ident $c:ident $d:ident], $words:ident, $round:literal, $first:literal, $by:literal, $turns:tt) => {
            round!(@four $mix, [$a $b $c $d], $words, $round, $first, $by, 0, $turns);
            round!(@four $mix, [$a $b $c $d], $words, $round, $first, $by, 4, $turns);
            round!(@four $mix, [$a $b $c $d], $words, $round, $first, $by, 8, $turns);
            round!(@four $mix, [$a $b $c $d], $words, $round, $first, $by, 12, $turns);
        };
        (@four $mix:ident, [$a:ident $b:ident $c:ident $d:ident], $words:ident, $round:literal, $first:literal, $by:literal, $n:literal,
            [$t0:literal $t1:literal $t2:literal $t3:literal]) => {
            step!($mix, $a, $b, $c, $d, $words[($first + $by * $n) % 16], SINES[16 * $round + $n], $t0);
            step!($mix, $d, $a, $b, $c, $words[($first + $by * ($n + 1)) % 16], SINES[16 * $round + $n + 1], $t1);
            step!($mix, $c, $d, $a, $b, $words[($first + $by * ($n + 2)) % 16], SINES[16 * $round + $n + 2], $t2);
            step!($mix, $b, $c, $d, $a, $words[($first + $by * ($n + 3)) % 16], SINES[16 * $round + $n + 3], $t3);
        };
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn f(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn g(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_or_si256(_mm256_and_si256(d, b), _mm256_andnot_si256(d, c))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn h(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_xor_si256(b, _mm256_xor_si256(c, d))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn i(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, _mm256_set1_epi32(-1))))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn gathered(words: &[Words; LANES], word: usize) -> __m256i {
        let [a, b, c, d, e, f, g, h] = words.map(|words| words[word].cast_signed());
        _mm256_set_epi32(h, g, f, e, d, c, b, a)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn scattered(lanes: __m256i) -> [u32; LANES] {
        let (low, high) = (_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
        let low = [
            _mm_extract_epi32::<0>(low),
            _mm_extract_epi32::<1>(low),
            _mm_extract_epi32::<2>(low),
            _mm_extract_epi32::<3>(low),
        ];
        let high = [
            _mm_extract_epi32::<0>(high),
            _mm_extract_epi32::<1>(high),
            _mm_extract_epi32::<2>(high),
            _mm_extract_epi32::<3>(high),
        ];
        std::array::from_fn(|lane| (if lane < 4 { low[lane] } else { high[lane - 4] }).cast_unsigned())
    }

    /// Eight words of one message.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn row(half: &[u8]) -> __m256i {
        let pair = |n: usize| i64::from_le_bytes(half[8 * n..8 * n + 8].try_into().expect("eight bytes"));
        _mm256_set_epi64x(pair(3), pair(2), pair(1), pair(0))
    }

    /// From eight words of each message to each word of the eight messages.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn transposed(rows: [__m256i; LANES]) -> [__m256i; LANES] {
        let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
        let (s0, s1) = (_mm256_unpacklo_epi32(r0, r1), _mm256_unpackhi_epi32(r0, r1));
        let (s2, s3) = (_mm256_unpacklo_epi32(r2, r3), _mm256_unpackhi_epi32(r2, r3));
        let (s4, s5) = (_mm256_unpacklo_epi32(r4, r5), _mm256_unpackhi_epi32(r4, r5));
        let (s6, s7) = (_mm256_unpacklo_epi32(r6, r7), _mm256_unpackhi_epi32(r6, r7));
        let (t0, t1) = (_mm256_unpacklo_epi64(s0, s2), _mm256_unpackhi_epi64(s0, s2));
        let (t2, t3) = (_mm256_unpacklo_epi64(s1, s3), _mm256_unpackhi_epi64(s1, s3));
        let (t4, t5) = (_mm256_unpacklo_epi64(s4, s6), _mm256_unpackhi_epi64(s4, s6));
        let (t6, t7) = (_mm256_unpacklo_epi64(s5, s7), _mm256_unpackhi_epi64(s5, s7));
        [
            _mm256_permute2x128_si256::<0x20>(t0, t4),
            _mm256_permute2x128_si256::<0x20>(t1, t5),
            _mm256_permute2x128_si256::<0x20>(t2, t6),
            _mm256_permute2x128_si256::<0x20>(t3, t7),
            _mm256_permute2x128_si256::<0x31>(t0, t4),
            _mm256_permute2x128_si256::<0x31>(t1, t5),
            _mm256_permute2x128_si256::<0x31>(t2, t6),
            _mm256_permute2x128_si256::<0x31>(t3, t7),
        ]
    }

    /// The sixteen words of the block that begins at byte `at` of each message.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn block(messages: &[&[u8]; LANES], at: usize) -> [__m256i; 16] {
        let [a, b, c, d, e, f, g, h] = messages.map(|message| &message[at..at + BLOCK_BYTES]);
        let rows = |from: usize, to: usize| {
            transposed([
                row(&a[from..to]),
                row(&b[from..to]),
                row(&c[from..to]),
                row(&d[from..to]),
                row(&e[from..to]),
                row(&f[from..to]),
                row(&g[from..to]),
                row(&h[from..to]),
            ])
        };
        let (low, high) = (rows(0, 32), rows(32, 64));
        std::array::from_fn(|word| if word < 8 { low[word] } else { high[word - 8] })
    }

    /// Takes so many blocks of each message.
    #[target_feature(enable = "avx2")]
    pub fn advance(words: &mut [Words; LANES], messages: &[&[u8]; LANES], blocks: usize) {
        let (mut a, mut b) = (gathered(words, 0), gathered(words, 1));
        let (mut c, mut d) = (gathered(words, 2), gathered(words, 3));
        for number in 0..blocks {
            let m = block(messages, number * BLOCK_BYTES);
            let before = (a, b, c, d);
            round!(f, [a b c d], m, 0, 0, 1, [7 12 17 22]);
            round!(g, [a b c d], m, 1, 1, 5, [5 9 14 20]);
            round!(h, [a b c d], m, 2, 5, 3, [4 11 16 23]);
            round!(i, [a b c d], m, 3, 0, 7, [6 10 15 21]);
            a = _mm256_add_epi32(a, before.0);
            b = _mm256_add_epi32(b, before.1);
            c = _mm256_add_epi32(c, before.2);
            d = _mm256_add_epi32(d, before.3);
        }
        let (a, b, c, d) = (scattered(a), scattered(b), scattered(c), scattered(d));
        for (lane, words) in words.iter_mut().enumerate() {
            *words = [a[lane], b[lane], c[lane], d[lane]];
        }
    }
}
