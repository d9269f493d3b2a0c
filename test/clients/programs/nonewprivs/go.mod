module thinshim/test/clients/nonewprivs

go 1.26
