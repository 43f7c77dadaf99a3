"""TD(0) against Monte Carlo, Sarsa against Q-learning, and the bias of the maximum."""
