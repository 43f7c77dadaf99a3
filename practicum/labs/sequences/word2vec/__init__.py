"""Words by the company they keep: skip-gram and CBOW, against counting and against chance."""
