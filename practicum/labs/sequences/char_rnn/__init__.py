"""The lab `char-rnn`: recurrent networks that write a text character by character."""
