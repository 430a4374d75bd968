//! The secret rotation of a collection's space.

use ring::hkdf;
use zeroize::Zeroizing;

use super::scheme::Dimension;
use crate::secret::Secret;

/// A secret orthogonal map: it keeps every length and every angle, so that turned samples compare as the
/// samples do, and gives another space for every secret.
///
/// Three rounds of: a permutation; random signs; a Walsh–Hadamard transform of the largest power-of-two block
/// that fits at the front; random signs; the same of the block at the back. The blocks overlap or meet, so
/// that each round reaches every component whatever the dimension. Three rounds of signs and Hadamard are
/// what Andoni et al., "Practical and Optimal LSH for Angular Distance" (NIPS 2015), and Yu et al.,
/// "Orthogonal Random Features" (NIPS 2016), use in place of a dense random rotation, in O(d log d).
///
/// The arithmetic is plain 32-bit IEEE 754 in a fixed order: the same bits on every machine.
pub struct Transform {
    dimension: Dimension,
    block: usize,
    rounds: Vec<Round>,
}

struct Round {
    /// Component `i` is taken from position `order[i]`.
    order: Zeroizing<Vec<u16>>,
    /// Signs before the front block; within the block they carry its normalisation, 1/√block.
    front: Zeroizing<Vec<f32>>,
    /// The same before the back block.
    back: Zeroizing<Vec<f32>>,
}

impl Transform {
    /// Expands a collection's secret into its transform: HKDF-SHA256 (RFC 5869) gives the stream of bytes
    /// from which permutations (Fisher–Yates, unbiased) and signs are drawn.
    #[must_use]
    pub fn derive(secret: &Secret<32>, dimension: Dimension) -> Self {
        let components = dimension.len();
        let block = largest_power_of_two(components);
        let mut stream = Stream::new(secret, dimension);
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let order = permutation(&mut stream, dimension);
            let front = signs(&mut stream, components, 0, block);
            let back = signs(&mut stream, components, components.saturating_sub(block), block);
            rounds.push(Round { order, front, back });
        }
        Self { dimension, block, rounds }
    }

    /// The number of components that the transform takes.
    #[must_use]
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// Turns a vector of the transform's dimension.
    pub(super) fn apply(&self, mut values: Zeroizing<Vec<f32>>) -> Zeroizing<Vec<f32>> {
        let components = self.dimension.len();
        let mut turned = Zeroizing::new(vec![0.0; components]);
        for round in &self.rounds {
            for ((to, &from), sign) in turned.iter_mut().zip(round.order.iter()).zip(round.front.iter()) {
                // INVARIANT: the order is a permutation of the positions of a vector of this dimension.
                *to = values.get(usize::from(from)).copied().unwrap_or_default() * sign;
            }
            if let Some(front) = turned.get_mut(..self.block) {
                hadamard(front);
            }
            for (value, sign) in turned.iter_mut().zip(round.back.iter()) {
                *value *= sign;
            }
            if let Some(back) = turned.get_mut(components.saturating_sub(self.block)..) {
                hadamard(back);
            }
            std::mem::swap(&mut values, &mut turned);
        }
        values
    }

    /// Turns a vector back, each step of [`Transform::apply`] undone in its turn.
    pub(super) fn undo(&self, mut turned: Zeroizing<Vec<f32>>) -> Zeroizing<Vec<f32>> {
        let components = self.dimension.len();
        let mut values = Zeroizing::new(vec![0.0; components]);
        for round in self.rounds.iter().rev() {
            if let Some(back) = turned.get_mut(components.saturating_sub(self.block)..) {
                hadamard(back);
            }
            for (value, sign) in turned.iter_mut().zip(round.back.iter()) {
                *value *= sign;
            }
            if let Some(front) = turned.get_mut(..self.block) {
                hadamard(front);
            }
            for ((from, &to), sign) in turned.iter().zip(round.order.iter()).zip(round.front.iter()) {
                // INVARIANT: as in `apply`.
                if let Some(value) = values.get_mut(usize::from(to)) {
                    *value = from * sign;
                }
            }
            std::mem::swap(&mut values, &mut turned);
        }
        turned
    }
}

/// Undoes the last step of the last round as whoever does not know the secret can: the signs stay unknown, and the
/// result is too long by a constant factor in the block.
pub(super) fn undo_public_step(values: &mut [f32]) {
    let block = largest_power_of_two(values.len());
    if let Some(back) = values.get_mut(values.len().saturating_sub(block)..) {
        hadamard(back);
        let scale = block_scale(block);
        back.iter_mut().for_each(|value| *value *= scale);
    }
}

/// The unnormalised Walsh–Hadamard transform in place; the length is a power of two.
fn hadamard(values: &mut [f32]) {
    // The first two steps within four neighbours at once: shorter runs than four would not fill a register.
    let (fours, _) = values.as_chunks_mut::<4>();
    for four in fours {
        let [a, b, c, d] = *four;
        let (ab, a_b, cd, c_d) = (a + b, a - b, c + d, c - d);
        *four = [ab + cd, a_b + c_d, ab - cd, a_b - c_d];
    }
    let mut half = if values.len() < 4 { 1 } else { 4 };
    // Two steps at a time, so that the values are read and written half as often; each is the same additions.
    while half < values.len() / 2 {
        for four in values.chunks_exact_mut(4 * half) {
            let (left, right) = four.split_at_mut(2 * half);
            let ((a, b), (c, d)) = (left.split_at_mut(half), right.split_at_mut(half));
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (ab, a_b, cd, c_d) = (*a + *b, *a - *b, *c + *d, *c - *d);
                (*a, *b, *c, *d) = (ab + cd, a_b + c_d, ab - cd, a_b - c_d);
            }
        }
        half *= 4;
    }
    if half < values.len() {
        let (left, right) = values.split_at_mut(half);
        for (a, b) in left.iter_mut().zip(right) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
}

fn permutation(stream: &mut Stream, dimension: Dimension) -> Zeroizing<Vec<u16>> {
    let mut order = Zeroizing::new((0..dimension.get()).collect::<Vec<u16>>());
    for last in (1..dimension.get()).rev() {
        let other = stream.up_to(last);
        order.swap(usize::from(last), usize::from(other));
    }
    order
}

/// One random sign a component; those of the block that starts at `start` carry its normalisation.
fn signs(stream: &mut Stream, components: usize, start: usize, block: usize) -> Zeroizing<Vec<f32>> {
    let within = start..start.saturating_add(block);
    let scale = block_scale(block);
    let mut signs = Zeroizing::new(Vec::with_capacity(components));
    let mut bits = 0;
    for position in 0..components {
        if position.is_multiple_of(8) {
            bits = stream.byte();
        }
        let size = if within.contains(&position) { scale } else { 1.0 };
        signs.push(if bits & 1 == 0 { size } else { -size });
        bits >>= 1;
    }
    signs
}

#[expect(
    clippy::as_conversions,
    reason = "a power of two up to 4,096 is exact, and its root is rounded once"
)]
fn block_scale(block: usize) -> f32 {
    (1.0 / (block as f64).sqrt()) as f32
}

fn largest_power_of_two(at_most: usize) -> usize {
    let next = at_most.next_power_of_two();
    if next == at_most { next } else { next / 2 }
}

/// Bytes that only the holder of the secret can know: one HKDF expansion after another, each under the
/// dimension and its number.
struct Stream {
    key: hkdf::Prk,
    dimension: [u8; 2],
    expansions: u32,
    bytes: Zeroizing<[u8; EXPANSION_BYTES]>,
    used: usize,
}

impl Stream {
    fn new(secret: &Secret<32>, dimension: Dimension) -> Self {
        Self {
            key: hkdf::Salt::new(hkdf::HKDF_SHA256, DOMAIN).extract(secret.expose()),
            dimension: dimension.get().to_be_bytes(),
            expansions: 0,
            bytes: Zeroizing::new([0; EXPANSION_BYTES]),
            used: EXPANSION_BYTES,
        }
    }

    fn byte(&mut self) -> u8 {
        if self.used == EXPANSION_BYTES {
            self.refill();
        }
        let byte = self.bytes.get(self.used).copied().unwrap_or_default();
        self.used = self.used.saturating_add(1);
        byte
    }

    /// A number from 0 to `last`, each as likely as the other: a draw beyond the last whole multiple is
    /// drawn again.
    fn up_to(&mut self, last: u16) -> u16 {
        let count = u32::from(last).saturating_add(1);
        let whole = DRAWS - DRAWS % count;
        loop {
            let drawn = u32::from(u16::from_be_bytes([self.byte(), self.byte()]));
            if drawn < whole {
                // INVARIANT: a remainder below `count`, which is at most 2^16.
                return u16::try_from(drawn % count).unwrap_or(last);
            }
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "an expansion fails only beyond 255 blocks (RFC 5869, section 2.3)"
    )]
    fn refill(&mut self) {
        let number = self.expansions.to_be_bytes();
        let info = [DOMAIN, &self.dimension, &number];
        let filled = self.key.expand(&info, Expansion).and_then(|okm| okm.fill(self.bytes.as_mut_slice()));
        filled.expect("an expansion is 128 blocks long");
        self.expansions = self.expansions.saturating_add(1);
        self.used = 0;
    }
}

struct Expansion;

impl hkdf::KeyType for Expansion {
    fn len(&self) -> usize {
        EXPANSION_BYTES
    }
}

/// Names the construction: another one gets another name, and with it other spaces.
const DOMAIN: &[u8] = b"onebit/template/transform/v1";
/// See [`Transform`]: as many as the cited constructions have, each here with two Hadamard steps.
const ROUNDS: usize = 3;
/// 128 blocks of SHA-256, about half of what RFC 5869 allows in one expansion.
const EXPANSION_BYTES: usize = 4096;
/// How many values two bytes can have.
const DRAWS: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::synthetic;
    use super::*;
    use crate::ids::Digest;

    fn turned(transform: &Transform, values: &[f32]) -> Vec<f32> {
        transform.apply(Zeroizing::new(values.to_vec())).to_vec()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn lengths_and_angles_are_kept_in_every_dimension(seed: u64, dimension in 2_u16..1200) {
            let mut rng = synthetic::rng(seed);
            let transform = synthetic::transform(dimension, 7);
            let (a, b) = (synthetic::unit(&mut rng, dimension), synthetic::unit(&mut rng, dimension));
            let (x, y) = (turned(&transform, &a), turned(&transform, &b));
            prop_assert!((dot(&x, &x) - dot(&a, &a)).abs() < 4e-6, "the transform must be orthogonal");
            prop_assert!((dot(&x, &y) - dot(&a, &b)).abs() < 4e-6, "the transform must be orthogonal");
        }
    }

    #[test]
    fn one_secret_gives_the_same_bits_everywhere() {
        // From a second implementation, in Python on hmac and NumPy.
        let golden = [
            (2, "227f6ba7ad5da2fba178ae947a31408e477e21d60c68e90ce673edba0af7b15d"),
            (192, "799042bf48d8b3f1b35656a5d98f1454e6266efaf8a859eb9938fe446583aee5"),
            (512, "23fa469aeb1317d1d42942e0a01ac690f2e63a54089a884d5541081461e92f16"),
            (4096, "b3d5bea5924d3a18fbb330ca3c55671aba91109e924fbd7396dc252f38b98cf7"),
        ];
        for (dimension, digest) in golden {
            let values: Vec<f32> = (0..dimension).map(|i| f32::from(i % 101 * 37 % 101) - 50.0).collect();
            let output = turned(&synthetic::transform(dimension, 1), &values);
            let bytes: Vec<u8> = output.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(
                Digest::sha256(&bytes).to_string(),
                digest,
                "templates of dimension {dimension} that are already stored would no longer match: \
                 give a changed construction a new DOMAIN beside the old one"
            );
        }
    }

    #[test]
    fn other_secrets_give_unrelated_spaces() {
        let dimension = 512;
        let values = synthetic::unit(&mut synthetic::rng(5), dimension);
        let outputs: Vec<Vec<f32>> =
            (0..64).map(|secret| turned(&synthetic::transform(dimension, secret), &values)).collect();
        let mut squares = 0.0;
        let mut pairs = 0.0;
        for (i, a) in outputs.iter().enumerate() {
            for b in outputs.iter().skip(i + 1) {
                let cosine = dot(a, b);
                assert!(cosine.abs() < 0.25, "two secrets gave a cosine of {cosine}, 5.6 sigma off");
                squares += cosine * cosine;
                pairs += 1.0;
            }
        }
        // Independent directions in d dimensions have a cosine of variance 1/d.
        let variance: f64 = squares / pairs * 512.0;
        assert!((0.85..1.15).contains(&variance), "cosines between secrets vary {variance} times too much");
    }

    #[test]
    fn a_single_component_is_spread_over_all() {
        for dimension in [64_u16, 100, 192, 300, 500, 512, 513, 1000] {
            for secret in 0..4 {
                let transform = synthetic::transform(dimension, secret);
                for hot in [0, dimension / 2, dimension - 1] {
                    let mut values = vec![0.0; usize::from(dimension)];
                    values[usize::from(hot)] = 1.0;
                    let output = turned(&transform, &values);
                    let largest = output.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                    // Of d normal components with variance 1/d the largest exceeds 6/√d once in 10^6 tries.
                    let bound = 6.0 / f32::from(dimension).sqrt();
                    assert!(
                        largest < bound,
                        "component {hot} of {dimension} kept {largest} of itself, above {bound}: mix more"
                    );
                }
            }
        }
    }

    #[test]
    fn the_smallest_blocks_are_hadamard_matrices() {
        let mut two = [3.0, 1.0];
        hadamard(&mut two);
        assert_eq!(two, [4.0, 2.0]);
        for hot in 0..16_usize {
            let mut values = [0.0; 16];
            values[hot] = 1.0;
            hadamard(&mut values);
            for (row, value) in values.iter().enumerate() {
                let expected = if (row & hot).count_ones() % 2 == 0 { 1.0 } else { -1.0 };
                assert_eq!(*value, expected, "entry ({row}, {hot}) of the Hadamard matrix");
            }
        }
    }

    #[test]
    fn draws_are_even() {
        let secret = synthetic::secret(3);
        let mut stream = Stream::new(&secret, Dimension::new(8).unwrap());
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[usize::from(stream.up_to(5))] += 1;
        }
        for count in counts {
            assert!((9_600..10_400).contains(&count), "a number of six came up {count} times of 60,000");
        }
    }
}
