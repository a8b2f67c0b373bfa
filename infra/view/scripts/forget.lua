-- Forget whole keys.
-- keys:      1, 2 see the prelude; 3… to forget
-- arguments: 1 see the prelude
-- answers:   {'ok'}
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
return {'ok'}
