# Clients made at run time on one node are clients of all nodes: made, changed,
# deleted; after Redis was away, or lost its data; on a node that joins.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Nodes;
use Test::LLM::Redis;

use Digest::SHA qw(sha256_hex);
use Time::HiRes qw(time);

plan(skip_all => 'no redis-server') unless Test::LLM::Redis->available;

my $redis = Test::LLM::Redis->new;
my $filed = 'sk-llm-in-the-file-0001';
my $nodes = Test::LLM::Nodes->new(n => 3, workers => 2, redis => $redis, proxies => 1,
    files => { 'clients.json' => to_json({ clients => [ { id => 'filed', key_sha256 => sha256_hex($filed) } ] }) },
    conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_redis %%REDIS%%;
    llm_state %%DIR%%/state;
    llm_clients clients.json;
    llm_provider p { dialect mock; }
    llm_model m { provider p; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_auth on; llm_pass $llm_model; }
        location /admin/ { llm_admin; }
    }
EOC

my @json = ('Content-Type' => 'application/json');

sub call {
    my ($i, $method, $path, $body) = @_;
    return $nodes->node($i)->http($method => "/admin/$path", { @json },
                                  $method eq 'GET' ? () : defined $body ? to_json($body) : '');
}
sub ask { my ($i, $key) = @_; return chat($nodes->node($i), 'm', headers => { @json, Authorization => "Bearer $key" })->status }
sub all_say { my ($key, $status, @i) = @_; return wait_for(sub { !grep { ask($_, $key) != $status } @i ? @i : 0 .. 2 }, 10) }
sub shown { my ($i, $path) = @_; return call($i, GET => $path)->body }

ok(wait_for(sub { 3 == grep { (call($_, GET => 'redis')->json->{nodes} // []) && ask($_, $filed) == 200 } 0 .. 2 }, 20), 'three nodes');


# ---- made, changed, deleted ------------------------------------------------------

my $t0 = time;
my $key = call(0, POST => 'clients', { id => 'app', user => 'ann', limits => [ '1000r/m' ] })->json->{key};
is(ask(0, $key), 200, 'a client is made');
ok(all_say($key, 200), sprintf 'all nodes know it: %.0f ms', 1000 * (time - $t0));
is(shown(1, 'clients/app'), shown(0, 'clients/app'), '... the same record');

call(2, PUT => 'clients/app', { disabled => JSON::PP::true });
ok(all_say($key, 401), 'disabled on another node');
call(1, PUT => 'clients/app', { disabled => undef });
ok(all_say($key, 200), '... enabled on a third');
call(1, PUT => 'users/ann', { org => 'acme' });
ok(wait_for(sub { (call(0, GET => 'users/ann')->json->{org} // '') eq 'acme' }, 10), 'a user');
my $second = call(0, POST => 'clients/app/rotate')->json->{key};
ok(all_say($second, 200) && all_say($key, 401), 'rotated');
call(1, DELETE => 'clients/filed');
ok(all_say($filed, 401), 'one of the file is deleted on all nodes');
call(2, POST => 'clients', { id => 'gone', key_sha256 => sha256_hex('sk-llm-gone-000001') });
ok(all_say('sk-llm-gone-000001', 200), 'another one comes');
call(0, DELETE => 'clients/gone');
ok(all_say('sk-llm-gone-000001', 401), '... and goes');
like($redis->cmd('HGET', 'llmgw:{cp}:clients', 'client:app'), qr/^\d+ \{"id":"app"/, 'Redis has the record');
like($redis->cmd('HGET', 'llmgw:{cp}:clients', 'client:filed'), qr/^\d+ lasting$/, '... and deletions');
cmp_ok($redis->cmd('PTTL', 'llmgw:{cp}:clients'), '>', 0, '... for a time');


# ---- Redis away, and empty -----------------------------------------------------------

$nodes->proxy(0)->set(cut => 'silent');
my $alone = call(0, POST => 'clients', { id => 'alone' })->json->{key};
is(ask(0, $alone), 200, 'a node without Redis makes clients');
is(ask(1, $alone), 401, '... for itself');
call(1, PUT => 'clients/app', { name => 'of node 1' });
select undef, undef, undef, 0.1;    # clocks of nodes say what is later, in milliseconds
call(0, PUT => 'clients/app', { name => 'of node 0, later' });
$nodes->proxy(0)->set(cut => undef);
ok(wait_for(sub { ask(1, $alone) == 200 && ask(2, $alone) == 200 }, 30), '... until Redis is back');
ok(wait_for(sub { 3 == grep { call($_, GET => 'clients/app')->json->{name} eq 'of node 0, later' } 0 .. 2 }, 20),
    'of two changes the later one stays');

$redis->cmd('FLUSHALL');
ok(wait_for(sub { ($redis->cmd('HLEN', 'llmgw:{cp}:clients') // 0) >= 5 }, 20), 'an empty Redis is told again');
ok(all_say($second, 200, 0 .. 2) && all_say($filed, 401, 0 .. 2), '... nobody forgot');


# ---- a node that joins -----------------------------------------------------------------

my $i = $nodes->join_one;
ok(wait_for(sub { ask($i, $second) == 200 && ask($i, $alone) == 200 && ask($i, $filed) == 401 }, 20),
    'a node that joins knows all of it');
$nodes->reload($i);
ok(wait_for(sub { ask($i, $second) == 200 && ask($i, $filed) == 401 }, 10), '... after a reload, too');

my $before = $redis->cmd('HGET', 'llmgw:{cp}:gen', 'clients');
select undef, undef, undef, 1.5;
is($redis->cmd('HGET', 'llmgw:{cp}:gen', 'clients'), $before, 'then it is quiet');

finish;
