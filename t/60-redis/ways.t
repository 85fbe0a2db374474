# Ways to Redis: a socket, TLS, a user of its own, a name that the resolver knows.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis::available();

my $ca = Test::LLM::Tls->new;
my $password = 'a-user-s-password-31';
my $redis = Test::LLM::Redis->new(unix => 1, ca => $ca->file,
    tls => $ca->cert('redis.test', 'DNS:redis.test', 'IP:127.0.0.1'),
    users => [ 'default on nopass ~* &* +@all' ]);
my $dns = Test::LLM::Dns->new('redis.test' => ['127.0.0.1']);
chmod 0777, $redis->socket;
chmod 0755, $redis->dir;

# one gateway per way: whether it connects, and the error where it does not
sub try_way {
    my ($name, $line, %o) = @_;

    my $gw = Test::LLM::Gateway->new(
        vars => { REDIS => $redis->port, TLS => $redis->tls_port,
                  SOCKET => $redis->socket, CA => $ca->file, DNS => $dns->port },
        env => { REDIS_PASSWORD => $password, REDIS_USER => 'gateway',
                 WRONG_PASSWORD => 'not-the-password' },
        conf => <<EOC)->start;
    llm_zone t:4m;
    @{[ $o{resolver} ? 'resolver 127.0.0.1:%%DNS%% ipv6=off valid=1s;' : '' ]}
    llm_redis $line prefix=$name:;
    llm_provider canned { dialect mock; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location / { llm_pass canned; }
    }
EOC

    my $says = sub { $gw->get('/admin/redis')->json };

    if ($o{error}) {
        ok(wait_for(sub { $says->()->{error} }, 30), "$name: refused");
        like($says->()->{error}, $o{error}, "$name: why");
        ok(!$says->()->{connected}, "$name: not connected");

    } else {
        ok(wait_for(sub { $says->()->{connected} && $says->()->{counts}{replies} },
            30), "$name: connected") or diag $gw->log;
        ok($redis->cmd('EXISTS', "$name:{cp}:nodes"), "$name: it lives there");
        my $subscribed = wait_for(sub {
            $redis->cmd('PUBSUB', 'NUMSUB', "$name:ev")->[1] }, 20);
        ok($subscribed, "$name: and listens");
    }

    $gw->quit;
    return $gw;
}


try_way('socket', 'unix:%%SOCKET%%');
try_way('localhost', 'localhost:%%REDIS%%');

# ---- TLS ---------------------------------------------------------------------

try_way('tls', '127.0.0.1:%%TLS%% tls tls_ca=%%CA%%');
try_way('tls-name', '127.0.0.1:%%TLS%% tls tls_ca=%%CA%% tls_name=redis.test');
try_way('tls-dns', 'redis.test:%%TLS%% tls tls_ca=%%CA%%', resolver => 1);
try_way('tls-off', '127.0.0.1:%%TLS%% tls tls_verify=off');
try_way('tls-other', '127.0.0.1:%%TLS%% tls tls_ca=%%CA%% tls_name=other.test',
    error => qr/certificate is for another name/);
try_way('tls-ca', '127.0.0.1:%%TLS%% tls', error => qr/cannot be verified/);
try_way('tls-plain', '127.0.0.1:%%REDIS%% tls tls_verify=off',
    error => qr{TLS failed|closed|timed out});
try_way('plain-tls', '127.0.0.1:%%TLS%%',
    error => qr/closed the connection|protocol|reading failed/);

# ---- users ---------------------------------------------------------------------

$redis->cmd('ACL', 'SETUSER', 'gateway', 'on', ">$password", '~*', '&*', '+@all');
$redis->cmd('ACL', 'SETUSER', 'default', 'resetpass', ">$password");
$redis->{password} = $password;

try_way('user', '127.0.0.1:%%REDIS%% user=gateway password=env:REDIS_PASSWORD');
try_way('user-env',
    '127.0.0.1:%%REDIS%% user=env:REDIS_USER password=env:REDIS_PASSWORD');
try_way('password', '127.0.0.1:%%REDIS%% password=env:REDIS_PASSWORD');
try_way('nobody', '127.0.0.1:%%REDIS%%', error => qr/wants a password/);
try_way('wrong', '127.0.0.1:%%REDIS%% password=env:WRONG_PASSWORD',
    error => qr/refused the user or the password/);
try_way('no-user', '127.0.0.1:%%REDIS%% user=someone password=env:REDIS_PASSWORD',
    error => qr/refused the user or the password/);

# ---- names ----------------------------------------------------------------------

try_way('dns', 'redis.test:%%REDIS%% password=env:REDIS_PASSWORD', resolver => 1);
try_way('no-such-name', 'nowhere.test:%%REDIS%%', resolver => 1,
    error => qr/its name was not found/);

# ---- databases -------------------------------------------------------------------

try_way('no-db', '127.0.0.1:%%REDIS%% db=4711 password=env:REDIS_PASSWORD',
    error => qr/no database of that number/);

finish;
