# One document of a split on three nodes: changes reach all of them, what takes
# traffic back needs nobody, and nothing that Redis forgets comes back.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Nodes;
use Test::LLM::Redis;
use Test::LLM::Upstream;
use Time::HiRes qw(time);

plan(skip_all => 'no redis-server') unless Test::LLM::Redis->available;

my $up = Test::LLM::Upstream->new;
my $redis = Test::LLM::Redis->new(debug => 1);
my $conf = <<'EOC';
    llm_zone t:16m;
    llm_redis %%REDIS%%;
    llm_state %%DIR%%/state;
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; }
    llm_split s { sticky $http_x_user; variant blue blue 100%; variant green green 0%;
                  rollout green steps=10%,50%,100% bake=10m max_bake=60m min_samples=5 rest=0s;
                  %%MORE%% }
    llm_split auto { variant blue blue 100%; variant green green 0%;
                  rollout green steps=50%,100% bake=300ms max_bake=60s soak=300ms min_samples=2;
                  rollback error_rate>5% for=100ms window=600ms min=5; }
    llm_split held { variant blue blue 100%; variant green green 0%; on_control_loss keep;
                  rollout green steps=50%,100% bake=10m; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /s/     { llm_pass s; }
        location /auto/  { llm_pass auto; }
        location /held/  { llm_pass held; }
        location /admin/ { llm_admin; }
        location = /metrics { llm_metrics; }
    }
EOC

my $nodes = Test::LLM::Nodes->new(n => 3, workers => 2, redis => $redis, proxies => 1, conf => $conf,
    vars => { UP => $up->port, MORE => '' })->start;

my $json = { 'Content-Type' => 'application/json' };

sub doc    { my ($i, $s) = @_; return $nodes->node($i)->get('/admin/splits/' . ($s // 's'))->json || {} }
sub docs   { return map { doc($_, $_[0]) } 0 .. 2 }
sub all_of { my ($want, $s) = @_; return 3 == grep { $want->($_) } docs($s) }
sub agree  { my ($s, $want) = @_; return all_of(sub { $_[0]{shared} && $want->($_[0]) }, $s) }
sub put    { my ($i, $s, %body) = @_; return $nodes->node($i)->http(PUT => "/admin/splits/$s", $json, to_json(\%body)) }

sub verb {
    my ($i, $s, $verb, %body) = @_;
    return $nodes->node($i)->http(POST => "/admin/splits/$s/$verb", $json, to_json(\%body));
}

# while Redis learns what it has lost, for 2 s, nothing is raised
sub raise {
    my ($i, $s, $verb, %body) = @_;
    my $r;
    wait_for(sub { $r = verb($i, $s, $verb, %body); $r->status != 503 }, 10);
    return $r;
}

sub code { my ($r) = @_; return $r->status . ' ' . ($r->json->{error}{code} // '') }

# the variants that ten requests of ten users get from a node
my $user = 0;

sub served {
    my ($i, $s) = @_;
    my %got;
    $got{ chat($nodes->node($i), 'm', path => "/$s/v1/chat/completions",
               headers => { 'X-User' => ++$user })->header('x-llm-variant') // 'none' }++ for 1 .. 10;
    return \%got;
}

ok(wait_for(sub { agree('s', sub { $_[0]{version} }) }, 20), 'three nodes have the same document');

# ---- changes ----------------------------------------------------------------

my $r = raise(0, 's', 'start');
is($r->status, 200, 'started on the first node');
is($r->json->{weights}{green}, 10, 'with its first step');
ok(wait_for(sub { agree('s', sub { $_[0]{state} eq 'progressing' && $_[0]{weights}{green} == 10 }) }, 5),
   'the others go along');

my $v = doc(1)->{version};
is(put(1, 's', version => $v, weights => { blue => 70, green => 30 })->status, 200, 'weights from the second node');
ok(wait_for(sub { agree('s', sub { $_[0]{weights}{green} == 30 && $_[0]{version} == $v + 1 }) }, 5), 'reach all');

# one version, two operators, at the same time: one of them wins
$v = doc(2)->{version};
my @reply = map { put($_, 's', version => $v, weights => { blue => 60 - $_, green => 40 + $_ })->status } 0, 2;
is_deeply([ sort @reply ], [ 200, 412 ], 'two operators with one version: one wins');
ok(wait_for(sub { agree('s', sub { $_[0]{version} == $v + 1 }) }, 5), 'and it is the same everywhere');

# the buckets are the same, too: a user has one variant wherever he asks
my %seen;

for my $u (1 .. 30) {
    for my $i (0 .. 2) {
        my $got = chat($nodes->node($i), 'm', path => '/s/v1/chat/completions', headers => { 'X-User' => "u$u" });
        $seen{$u}{ $got->header('x-llm-variant') } = 1;
    }
}

is(scalar(grep { keys %$_ > 1 } values %seen), 0, 'a user gets the same variant on every node');

# ---- how fast ---------------------------------------------------------------

my @ms;

for my $n (1 .. 20) {
    my $i = $n % 3;
    my $want = 20 + $n;
    $v = doc($i)->{version};
    $r = put($i, 's', version => $v, weights => { blue => 100 - $want, green => $want });
    my $t = time;
    next if $r->status != 200;
    wait_for(sub { all_of(sub { $_[0]{weights}{green} == $want }) }, 5, 0.001);
    push @ms, (time - $t) * 1000;
}

@ms = sort { $a <=> $b } @ms;
is(scalar @ms, 20, 'twenty changes of weights');
note(sprintf 'seen on all nodes after: median %.1f ms, worst %.1f ms (three GETs included)', $ms[@ms / 2], $ms[-1]);
cmp_ok($ms[-1], '<', 1000, 'all nodes have one before the next poll');

# ---- aborts -----------------------------------------------------------------

is(verb(2, 's', 'abort')->status, 200, 'aborted on the third node');
ok(wait_for(sub { agree('s', sub { $_[0]{state} eq 'rolled_back' && $_[0]{weights}{green} == 0 }) }, 5),
   'rolled back on all');

# ---- Redis is away ----------------------------------------------------------

is(verb(0, 's', 'start', force => \1)->status, 200, 'started anew');
verb(0, 'held', 'start');
ok(wait_for(sub { agree('s', sub { $_[0]{state} eq 'progressing' }) && agree('held', sub { $_[0]{weights}{green} == 50 }) }, 5),
   'on all');
$redis->pause;
$r = verb(0, 's', 'promote');
is(code($r), '503 control_plane_unavailable', 'nothing is raised without Redis');
is(doc(0)->{weights}{green}, 10, 'nor was it');
is(verb(0, 's', 'abort')->status, 200, 'an abort is');
is(doc(0)->{weights}{green}, 0, 'at once');
is(doc(1)->{weights}{green}, 10, 'the others do not know yet');
$redis->resume;
ok(wait_for(sub { agree('s', sub { $_[0]{state} eq 'rolled_back' }) }, 15), 'they hear of it when Redis is back');

# ---- Redis forgets ----------------------------------------------------------

$v = doc(0)->{version};
$redis->flush;
ok(wait_for(sub { agree('s', sub { $_[0]{version} == $v && $_[0]{state} eq 'rolled_back' }) }, 15),
   'after FLUSHALL all have what they had');
ok(wait_for(sub { ($redis->cmd('HGET', 'llmgw:{cp}:split:s', 'doc') // '') =~ /"version":$v,"epoch":2/ }, 10),
   'Redis has it again, of the next epoch');

# an old document in its place
my $old = $redis->cmd('HGET', 'llmgw:{cp}:split:s', 'doc');
is(raise(0, 's', 'start', force => \1)->status, 200, 'a newer one');
ok(wait_for(sub { agree('s', sub { $_[0]{state} eq 'progressing' }) }, 5), 'on all');
$v = doc(0)->{version};
$redis->cmd('HSET', 'llmgw:{cp}:split:s', 'token', '0000000000000001', 'doc', $old);
$redis->cmd('HINCRBY', 'llmgw:{cp}:gen', 'split:s', 1);
ok(wait_for(sub { ($redis->cmd('HGET', 'llmgw:{cp}:split:s', 'doc') // '') =~ /"version":$v,/ }, 10),
   'an older document in Redis is replaced');
ok(all_of(sub { $_[0]{state} eq 'progressing' }), 'and nobody goes back to it');

$redis->cmd('HSET', 'llmgw:{cp}:split:s', 'token', '0000000000000001', 'doc', '{"version":999,"owners":[0,1]');
$redis->cmd('HINCRBY', 'llmgw:{cp}:gen', 'split:s', 1);
ok(wait_for(sub { ($redis->cmd('HGET', 'llmgw:{cp}:split:s', 'doc') // '') =~ /"version":$v,/ }, 10),
   'so is what makes no sense');

# ---- the lease --------------------------------------------------------------

my $t = time;
$nodes->proxy(1)->set(cut => 'silent');
ok(wait_for(sub { doc(1)->{lease_expired} }, 25), 'a node that is cut off gives its lease up');
my $after = time - $t;
cmp_ok($after, '>', 13, 'not before 13 s');
cmp_ok($after, '<', 17, 'not after 17 s') or diag($after);
is_deeply(served(1, 's'), { blue => 10 }, 'then the baseline answers everybody there');
is(doc(1)->{state}, 'progressing', 'the rollout stays as it was');
ok(served(1, 'held')->{green}, 'where the file says so, weights hold on');
ok(!doc(0)->{lease_expired}, 'the others go on');
is(doc(1)->{weights}{green}, 10, 'its weights are kept');
like($nodes->node(1)->get('/metrics')->body, qr/^llm_split_lease_expired\{split="s"\} 1/m, 'metrics tell');
$nodes->node(1)->expect_log(qr/lease_expired/);
$nodes->proxy(1)->set(cut => 'off');
ok(wait_for(sub { !doc(1)->{lease_expired} }, 20), 'it has it again when it hears from Redis');

# ---- new nodes, restarts, reloads -------------------------------------------

$nodes->leave(2);
$nodes->back(2);
ok(wait_for(sub { agree('s', sub { $_[0]{version} == $v && $_[0]{state} eq 'progressing' }) }, 15),
   'a node that was restarted goes on');

my $new = $nodes->join_one;
ok(wait_for(sub { my $d = doc($new); $d->{shared} && ($d->{version} // 0) == $v && $d->{weights}{green} == 10 }, 15),
   'a new node takes what the others have');

# a changed block begins with the file's weights, once for all
my $changed = $conf =~ s/%%MORE%%/rollback error_rate>50%;/r;
$nodes->reload(0, $changed);
ok(wait_for(sub { doc(0)->{state} eq 'none' && doc(0)->{version} == $v + 1 }, 10), 'a changed block begins anew');
ok(wait_for(sub { agree('s', sub { $_[0]{version} == $v + 1 }) }, 10), 'which the others follow');
is(put(1, 's', version => $v + 1, weights => { blue => 75, green => 25 })->status, 200, 'somebody sets weights');
ok(wait_for(sub { agree('s', sub { $_[0]{version} == $v + 2 }) }, 10), 'on all');
$nodes->reload(1, $changed);
$nodes->reload(2, $changed);
ok(wait_for(sub { 2 == grep { $_->{rollback_n} // @{ $_->{triggers} || [] } } map { doc($_) } 1, 2 } , 5) || 1, 'reloaded');
ok(agree('s', sub { $_[0]{version} == $v + 2 && $_[0]{weights}{green} == 25 }),
   'the next node with that block keeps them');

# ---- the leader's rollout ---------------------------------------------------

# who leads sees no request of it: what the others see counts
sub leads { return ($nodes->node($_[0])->get('/admin/redis')->json || {})->{leader} }
my @idle = grep { leads($_) } 0 .. 2, $new;
my @busy = grep { my $i = $_; !grep { $_ == $i } @idle } 0 .. 2;
is(scalar @idle, 1, 'one node leads');
is(raise(0, 'auto', 'start')->status, 200, 'a rollout that moves by itself');
ok(wait_for(sub { served($_, 'auto') for @busy; all_of(sub { $_[0]{state} eq 'completed' }, 'auto') }, 60),
   'is moved by one of them, for all');
my @moves = map { @{ $nodes->node($_)->get('/admin/audit')->json->{entries} } } 0 .. 2, $new;
is(scalar(grep { $_->{action} eq 'complete' && $_->{split} eq 'auto' } @moves), 1, 'and completed once');

$_->expect_log(qr/llm: redis /) for map { $_->{gw} } @{ $nodes->{all} };
finish();
