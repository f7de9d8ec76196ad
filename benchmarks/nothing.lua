#!lua
-- nothing: takes what debit takes, and does nothing.
return {'ok'}
