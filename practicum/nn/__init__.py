"""Networks: plain torch.nn.Modules, one idea a file, equations numbered as in their papers."""
