//! A protected template rounded to eight bits a component: what a gallery serves.

use zeroize::Zeroizing;

use super::protect::{Protected, TemplateError};
use super::scheme::Dimension;
use super::similarity::Similarity;

/// A protected template rounded from 16 to 8 bits a component, half away from zero, on a scale on which the
/// largest is 127. It wipes itself and does not show itself.
///
/// Components of a turned template are close to normal, and the largest of 512 is about 3.2 times their spread;
/// a scale that cut it off would cost more than its finer steps save. Rounding moves a cosine by `e = s / √12 /
/// √d` (one standard deviation), where the step `s` is the largest component over 127 and their spread is 1:
/// 3.2e-4 at d = 512, so that a decision can only differ from that of 16 bits within some 0.002 of a threshold.
pub struct Compact {
    // INVARIANT: from -127 to 127 each, with one at an end, so that the sum of squares is above zero.
    components: Zeroizing<Vec<i8>>,
    dimension: Dimension,
    /// The sum of squares of the components.
    squares: u32,
}

impl Compact {
    /// The rounded form of a template.
    #[must_use]
    pub fn of(template: &Protected) -> Self {
        let components: Zeroizing<Vec<i8>> =
            Zeroizing::new(template.components().iter().map(|&component| rounded(component)).collect());
        Self::new(components, template.dimension())
    }

    /// The rounded form with these components, of which there are `dimension`.
    pub(crate) fn of_components(components: impl Iterator<Item = i8>, dimension: Dimension) -> Self {
        // Reserved at once, so that growing leaves no copy behind.
        let mut own = Zeroizing::new(Vec::with_capacity(dimension.len()));
        own.extend(components.take(dimension.len()));
        Self::new(own, dimension)
    }

    /// The rounded form with these bytes, as [`Compact::write`] wrote them.
    ///
    /// # Errors
    /// [`TemplateError::Damaged`] for anything that `write` does not write.
    pub fn from_bytes(bytes: &[u8], dimension: Dimension) -> Result<Self, TemplateError> {
        if bytes.len() != dimension.len() {
            return Err(TemplateError::Damaged("its length is not that of its dimension"));
        }
        let components = bytes.iter().copied().map(u8::cast_signed);
        let largest = components.clone().map(i8::unsigned_abs).fold(0, u8::max);
        if largest != LARGEST.unsigned_abs() {
            return Err(TemplateError::Damaged("its components are not on their scale"));
        }
        Ok(Self::of_components(components, dimension))
    }

    /// Appends the bytes to seal: each component as a signed 8-bit number.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.components.iter().copied().map(i8::cast_unsigned));
    }

    fn new(components: Zeroizing<Vec<i8>>, dimension: Dimension) -> Self {
        // INVARIANT: at most 4,096 squares of 127, which is below 2^27.
        let square = |&component: &i8| u32::from(component.unsigned_abs()).pow(2);
        let squares = components.iter().map(square).fold(0_u32, u32::wrapping_add);
        Self { components, dimension, squares }
    }

    /// The number of components.
    #[must_use]
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// The components, from -127 to 127.
    pub(crate) fn components(&self) -> &[i8] {
        &self.components
    }

    /// The sum of squares of the components.
    pub(crate) const fn squares(&self) -> u32 {
        self.squares
    }
}

/// The length of a probe: all that a comparison needs of it beside an inner product.
#[derive(Clone, Copy)]
pub(crate) struct Length(f64);

impl Length {
    /// The length of a probe.
    pub(crate) const fn of(probe: &Protected) -> Self {
        Self(probe.norm())
    }

    /// How alike the probe and a rounded template are, given the inner product of their components and the sum
    /// of squares of the template's.
    pub(crate) fn similarity(self, dot: i64, squares: u32) -> Similarity {
        Similarity::new(dot, self.0, f64::from(squares).sqrt())
    }
}

/// The largest magnitude of a component.
const LARGEST: i8 = i8::MAX;

/// `component` * 127 / 32,767, rounded half away from zero.
fn rounded(component: i16) -> i8 {
    let scaled = i32::from(component.unsigned_abs()).saturating_mul(254).saturating_add(32_767) / 65_534;
    let magnitude = i8::try_from(scaled).unwrap_or(i8::MAX);
    if component < 0 { magnitude.saturating_neg() } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::super::protect::Protected;
    use super::super::synthetic::{self, cosine};
    use super::*;

    fn similarity(probe: &Protected, template: &Compact) -> Similarity {
        let products = probe.components().iter().zip(template.components());
        let dot = products.map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
        Length::of(probe).similarity(dot, template.squares())
    }

    #[test]
    fn rounding_is_half_away_from_zero_on_a_scale_of_its_own() {
        for (component, expected) in
            [(32_767, 127), (-32_767, -127), (0, 0), (129, 0), (130, 1), (-130, -1), (258, 1), (16_384, 64)]
        {
            assert_eq!(rounded(component), expected, "of {component}");
        }
    }

    #[test]
    fn rounding_moves_cosines_by_the_error_that_is_documented() {
        let (mut rng, transform) = (synthetic::rng(5), synthetic::transform(512, 1));
        let mut errors = Vec::new();
        for number in 0..400_u32 {
            let person = synthetic::unit(&mut rng, 512);
            let mate = synthetic::mate(&mut rng, &person, 0.25 + f64::from(number) / 800.0);
            let [probe, template] = [mate, person].map(|values| synthetic::protected(&values, &transform));
            let exact = cosine(probe.similarity(&template).unwrap());
            errors.push(cosine(similarity(&probe, &Compact::of(&template))) - exact);
        }
        let spread = (errors.iter().map(|error| error * error).sum::<f64>() / 400.0).sqrt();
        assert!((2e-4..4.5e-4).contains(&spread), "the documented error is 3.2e-4, not {spread}");
        assert!(errors.iter().all(|error| error.abs() < 0.002), "a flip must lie within the documented band");
    }

    #[test]
    fn sums_of_squares_are_those_of_the_components() {
        let template = synthetic::protected(
            &synthetic::unit(&mut synthetic::rng(6), 100),
            &synthetic::transform(100, 1),
        );
        let compact = Compact::of(&template);
        let squares: i32 = compact.components().iter().map(|&component| i32::from(component).pow(2)).sum();
        assert_eq!(i64::from(compact.squares()), i64::from(squares));
        assert_eq!(compact.components().iter().map(|component| component.unsigned_abs()).max(), Some(127));
    }

    #[test]
    fn bytes_go_there_and_back_and_others_are_refused() {
        let (mut rng, transform) = (synthetic::rng(9), synthetic::transform(100, 1));
        let template = Compact::of(&synthetic::protected(&synthetic::unit(&mut rng, 100), &transform));
        let mut bytes = Vec::new();
        template.write(&mut bytes);
        let again = Compact::from_bytes(&bytes, template.dimension()).ok().unwrap();
        assert_eq!((again.components(), again.squares()), (template.components(), template.squares()));
        let refused = |bytes: &[u8]| Compact::from_bytes(bytes, template.dimension()).is_err();
        assert!(refused(&bytes[1..]), "a component is missing");
        assert!(refused(&[bytes.as_slice(), &[0]].concat()), "there is one too many");
        assert!(refused(&[1; 100]), "no component is at the end of the scale");
        bytes[7] = i8::MIN.cast_unsigned();
        assert!(refused(&bytes), "-128 is on no scale");
    }
}
