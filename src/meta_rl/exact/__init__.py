"""Expected returns, their derivatives and meta-gradients of small MDPs, without sampling error."""
