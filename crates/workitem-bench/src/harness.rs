//! What the benchmarks here and in `peers/machines` have in common, and no function can say: both harnesses want
//! functions and types of the program itself.

/// Functions for gungraun, one for each row and with the row's name, in one group.
///
/// What is made by the attribute's argument is not counted; what the function drops is.
#[macro_export]
macro_rules! functions {
    ($group:ident, $run:ident($inputs:expr => $type:ty): $($name:ident = $machine:ty),* $(,)?) => {
        $(
            #[library_benchmark]
            #[bench::row($inputs)]
            fn $name(inputs: $type) {
                $crate::$run::<$machine>(inputs);
            }
        )*
        library_benchmark_group!(name = $group, benchmarks = [$($name),*]);
    };
}

/// A program for criterion that times every life and every refusal, their inputs included.
#[macro_export]
macro_rules! time {
    ($visit:path) => {
        struct Timed(criterion::Criterion);

        impl $crate::Visit for Timed {
            fn machine<M: $crate::Machine>(&mut self) {
                let inputs = $crate::Inputs::new();
                self.0.bench_function(M::ID, |bencher| {
                    let (inputs, size) = (|| inputs.clone(), criterion::BatchSize::SmallInput);
                    bencher.iter_batched(inputs, $crate::live::<M>, size);
                });
            }

            fn refusing<M: $crate::Refusing>(&mut self) {
                let late = M::late();
                self.0.bench_function(M::ID, |bencher| {
                    let (late, size) = (|| late.clone(), criterion::BatchSize::SmallInput);
                    bencher.iter_batched(late, $crate::refuse::<M>, size);
                });
            }
        }

        fn main() {
            let seconds = std::time::Duration::from_secs;
            let criterion =
                criterion::Criterion::default().warm_up_time(seconds(1)).measurement_time(seconds(2));
            let mut timed = Timed(criterion.configure_from_args());
            $visit(&mut timed);
            timed.0.final_summary();
        }
    };
}
