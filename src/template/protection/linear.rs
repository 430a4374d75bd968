//! Systems of linear equations, as large as an attack on a transform needs.

/// Solves `matrix` x = `right` for a symmetric positive definite matrix (Cholesky), for several right sides at once.
pub(super) struct Factored {
    /// The lower triangle, row by row.
    rows: Vec<Vec<f64>>,
}

impl Factored {
    /// Factors a matrix of which the lower triangle is given, row by row; none when it is not positive definite.
    pub(super) fn of(mut rows: Vec<Vec<f64>>) -> Option<Self> {
        for at in 0..rows.len() {
            let (above, below) = rows.split_at_mut(at);
            let own = below.first_mut()?;
            for (column, other) in above.iter().enumerate() {
                let (sum, pivot) = (product(own, other, column), *other.get(column)?);
                let value = own.get_mut(column)?;
                *value = (*value - sum) / pivot;
            }
            let sum = product(own, own, at);
            let value = own.get_mut(at)?;
            let square = *value - sum;
            if square.is_nan() || square <= 0.0 {
                return None;
            }
            *value = square.sqrt();
        }
        Some(Self { rows })
    }

    /// The solution for one right side.
    pub(super) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut solution = right.to_vec();
        for (at, row) in self.rows.iter().enumerate() {
            let sum = product(row, &solution, at);
            if let (Some(value), Some(pivot)) = (solution.get_mut(at), row.get(at)) {
                *value = (*value - sum) / pivot;
            }
        }
        for (at, row) in self.rows.iter().enumerate().rev() {
            let (before, rest) = solution.split_at_mut(at);
            if let (Some(value), Some(pivot)) = (rest.first_mut(), row.get(at)) {
                *value /= pivot;
                before.iter_mut().zip(row).for_each(|(other, factor)| *other -= *value * factor);
            }
        }
        solution
    }
}

/// The inner product of the first `length` of two rows, in four sums.
fn product(a: &[f64], b: &[f64], length: usize) -> f64 {
    let (a, b) = (a.get(..length).unwrap_or(a), b.get(..length).unwrap_or(b));
    let ((fours_a, rest_a), (fours_b, rest_b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in fours_a.iter().zip(fours_b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solutions_solve() {
        let full = [[4.0, 2.0, -1.0], [2.0, 5.0, 0.5], [-1.0, 0.5, 3.0]];
        let lower = (0..3).map(|at| full[at][..=at].to_vec()).collect();
        let wanted = [1.0, -2.0, 0.25];
        let right: Vec<f64> =
            full.iter().map(|row| row.iter().zip(&wanted).map(|(a, x)| a * x).sum()).collect();
        let solution = Factored::of(lower).unwrap().solve(&right);
        solution
            .iter()
            .zip(&wanted)
            .for_each(|(got, want)| assert!((got - want).abs() < 1e-12, "{solution:?}"));
    }

    #[test]
    fn a_matrix_that_has_no_root_is_refused() {
        assert!(Factored::of(vec![vec![1.0], vec![2.0, 1.0]]).is_none());
    }
}
