"""What five lecture notes on backpropagation contain, and what shows each of it here.

The notes: 000, lecture slides on backpropagation; 001, on deep feed-forward networks; 002, a
refresher on deep learning; 003, on backpropagation and automatic differentiation; 004, on gradient
descent. A test is `module::name` in this folder; an example is a file of `examples/`.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """Something in a note, and the tests and examples that show it."""

    notes: str
    what: str
    shown_by: tuple[str, ...]


GRAPHS = (
    Row(
        "000",
        "differences, sums, weights and a sigmoid of scalars: each partial",
        (
            "test_graphs::test_partials_are_the_expressions_of_the_note",
            "test_graphs::test_slopes_are_written_through_the_sigmoid_itself",
            "test_graphs::test_partials_have_the_numbers_of_the_note",
            "test_derive::test_closed_forms_are_those_of_the_note",
            "test_derive::test_numbers_at_a_point",
        ),
    ),
    Row(
        "000",
        "several paths from a variable: their contributions are added",
        (
            "test_graphs::test_partials_are_the_expressions_of_the_note",
            "test_graphs::test_partials_have_the_numbers_of_the_note",
        ),
    ),
    Row(
        "004",
        "the chain rule's two cases: a chain, and two paths",
        (
            "test_graphs::test_chain_rule_of_a_chain",
            "test_graphs::test_chain_rule_of_two_paths",
        ),
    ),
    Row(
        "002",
        "a value that feeds three branches",
        ("test_graphs::test_a_value_that_feeds_three_branches",),
    ),
    Row(
        "002",
        "backward rules of modules: duplicate, add, max, linear, ReLU",
        ("test_graphs::test_backward_rules_of_modules",),
    ),
    Row(
        "001 003",
        "the two passes in topological order and its reverse; 0 at first, 1 at the end",
        (
            "test_graphs::test_every_partial_of_the_backward_pass",
            "test_graphs::test_passes_visit_variables_in_topological_order_and_its_reverse",
            "test_graphs::test_what_nothing_reaches_has_the_derivative_zero",
            "test_derive::test_steps_are_a_trace_of_both_passes",
        ),
    ),
    Row(
        "003",
        "the first quiz: value and both derivatives at x = 2, z = 3",
        (
            "test_differentiation::test_quiz_as_expressions",
            "test_derive::test_quiz_rounded_to_integers",
            "examples/four_ways.py",
        ),
    ),
    Row(
        "003",
        "the second quiz: a network of two hidden layers, in matrix form",
        (
            "test_networks::test_two_hidden_layers_of_the_quiz",
            "test_derive::test_two_hidden_layers_as_matrix_equations",
        ),
    ),
    Row(
        "001",
        "the recurrence of δ, at any depth",
        (
            "test_networks::test_emitted_backward_is_the_recurrence",
            "test_networks::test_recurrence_has_the_numbers_of_the_textbook",
        ),
    ),
    Row(
        "002",
        "Jacobians of functional modules, Hessians",
        (
            "test_graphs::test_jacobian_of_a_functional_module",
            "test_graphs::test_hessian_of_a_scalar_function",
        ),
    ),
    Row(
        "003",
        "finite differences, symbolic, forward mode, reverse mode",
        (
            "test_differentiation::test_four_ways_to_one_derivative",
            "test_differentiation::test_check_compares_the_derivatives_with_differences",
            "examples/four_ways.py",
        ),
    ),
    Row(
        "003",
        "symbolic differentiation blows up if it shares nothing",
        (
            "test_differentiation::test_a_derivative_blows_up_as_a_tree_and_not_as_a_program",
            "test_differentiation::test_a_deep_derivative_is_right",
            "examples/four_ways.py",
        ),
    ),
)

NEURONS = (
    Row(
        "001",
        "a neuron; a sigmoid unit with squared loss and its three partials",
        (
            "test_neurons::test_a_layer_of_neurons",
            "test_neurons::test_sigmoid_unit_with_squared_loss",
        ),
    ),
    Row(
        "001",
        "linear, sigmoid, tanh, ReLU, leaky ReLU, softmax, with their slopes",
        (
            "test_activations::test_activations_and_their_slopes",
            "test_activations::test_sigmoid_and_tanh_are_each_others",
            "test_activations::test_softmax_is_a_distribution_with_its_jacobian",
        ),
    ),
    Row(
        "001",
        "shifted ReLU, ELU, parametric ReLU with a learned slope, maxout",
        (
            "test_activations::test_activations_and_their_slopes",
            "test_activations::test_slope_of_a_parametric_relu_is_learned",
            "test_activations::test_maxout_of_two_affine_maps",
            "test_activations::test_relu_and_leaky_relu_are_maxouts",
        ),
    ),
    Row(
        "001",
        "XOR: not by one neuron; by two layers, with weights set by hand and learned",
        (
            "test_neurons::test_one_neuron_cannot_do_xor",
            "test_neurons::test_two_layers_do_xor_with_weights_set_by_hand",
            "test_neurons::test_two_layers_learn_xor",
            "examples/xor.py",
        ),
    ),
    Row(
        "001",
        "square, hinge, logistic and cross-entropy losses",
        ("test_losses::test_losses_of_the_note",),
    ),
    Row(
        "001",
        "softmax with cross-entropy: the gradient h - e",
        ("test_losses::test_softmax_cross_entropy_has_the_gradient_h_minus_e",),
    ),
    Row(
        "001",
        "negative log-likelihoods: Gaussian, Bernoulli, multinomial",
        ("test_losses::test_log_likelihoods_of_the_three_outputs",),
    ),
    Row(
        "001 002",
        "the regularised objective, with L1, L2 and both",
        ("test_losses::test_regularised_objective",),
    ),
    Row(
        "001",
        "three layers for digits of 16 × 16 cells",
        (
            "test_neurons::test_three_layers_recognise_digits_of_16_by_16_cells",
            "examples/digits_mlp.py",
        ),
    ),
    Row(
        "001",
        "any depth and width; linear layers are one layer",
        (
            "test_networks::test_emitted_backward_is_the_recurrence",
            "test_networks::test_linear_layers_are_one_layer",
        ),
    ),
    Row(
        "001",
        "a convolutional network",
        ("test_convolution::test_a_convolutional_network", "examples/digits_cnn.py"),
    ),
)

TRAINING = (
    Row(
        "000 001 002 003 004",
        "gradient descent, single examples, mini-batches of 128",
        (
            "test_training::test_steps_go_against_the_gradient_of_the_batch",
            "test_training::test_gradients_of_batches_average_to_the_gradient",
        ),
    ),
    Row(
        "001 002 003",
        "epochs, each in another order",
        ("test_fit::test_fit_shuffles_and_steps_through_each_epoch",),
    ),
    Row(
        "002",
        "inputs of mean 0 and variance 1",
        ("test_training::test_normalised_inputs_train_in_fewer_steps",),
    ),
    Row(
        "002",
        "a learning rate that falls",
        ("test_fit::test_learning_rate_decreases_by_a_schedule",),
    ),
    Row(
        "002",
        "dropout",
        ("test_training::test_dropout_zeroes_and_scales_in_training_alone",),
    ),
    Row(
        "002",
        "initial weights: LeCun, Glorot, He, orthogonal",
        (
            "test_training::test_initial_weights_keep_the_variance_of_signals",
            "test_fit::test_orthogonal_initial_weights",
        ),
    ),
    Row(
        "001",
        "mini-batches are faster than single examples and than all at once",
        ("examples/optimizers.py",),
    ),
)

ROWS = (*GRAPHS, *NEURONS, *TRAINING)
