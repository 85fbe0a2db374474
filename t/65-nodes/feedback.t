# Experiments over several nodes: what each of them counted is added up, votes
# find the node that served, and the audit trail is one.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Nodes;
use Test::LLM::Redis;
use Test::LLM::Upstream;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis->available;

my $up = Test::LLM::Upstream->new;
my $redis = Test::LLM::Redis->new;
my $nodes = Test::LLM::Nodes->new(n => 3, workers => 2, redis => $redis, vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:16m;
    llm_redis %%REDIS%%;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_split s { sticky $http_x_user; variant blue a 50%; variant green b 50%; experiment test; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/         { llm_pass s; }
        location /admin/      { llm_admin; }
        location = /feedback  { llm_feedback; }
        location = /metrics   { llm_metrics; }
    }
EOC

$up->on('/*' => ok_chat('fine'));

my $json = { 'Content-Type' => 'application/json' };

sub report { return $nodes->node($_[0])->get('/admin/experiments/test')->json || {} }
sub arm { my ($i, $name) = @_; return (grep { $_->{variant} eq $name } @{ report($i)->{arms} || [] })[0] || {} }
sub total { my ($i) = @_; my $n = 0; $n += $_->{n} for @{ report($i)->{arms} || [] }; return $n }
sub vote { my ($i, $id, $score) = @_; return $nodes->node($i)->post('/feedback', to_json({ request_id => $id, score => $score })) }
sub thumbs { my ($i) = @_; my ($u, $d) = (0, 0); for (@{ report($i)->{arms} || [] }) { $u += $_->{thumbs}{up}; $d += $_->{thumbs}{down} } return "$u/$d" }

my @id;

# the same forty users on each node
for my $i (0 .. 2) {
    for my $user (1 .. 40) {
        my $c = chat($nodes->node($i), 'm', headers => { 'X-User' => "user-$user" });
        push @{ $id[$i] }, $c->header('x-llm-request-id');
    }
}

ok(wait_for(sub { 3 == grep { total($_) == 120 } 0 .. 2 }, 20), 'every node reports what all counted')
    or diag(join ' ', map { total($_) } 0 .. 2);
is(report(1)->{nodes}, 3, 'of three nodes');
my $units = arm(0, 'blue')->{units} + arm(0, 'green')->{units};
cmp_ok(abs($units - 40), '<=', 2, 'users that all of them saw count once') or diag($units);
is(scalar @{ $nodes->node(2)->get('/admin/experiments')->json->{experiments} }, 1, 'the list has it, too');
is($nodes->node(2)->get('/admin/experiments')->json->{experiments}[0]{nodes}, 3, 'of three nodes');

# ---- votes ------------------------------------------------------------------

is(vote(0, $id[0][0], 'up')->status, 200, 'a vote where the request was served');
my $r = vote(1, $id[0][1], 'up');
is($r->status, 202, 'elsewhere it is forwarded');
ok($r->json->{forwarded}, 'as it says');
ok(wait_for(sub { thumbs(2) eq '2/0' }, 10), 'and counted') or diag(thumbs(2));
vote(2, $id[0][1], 'down');
ok(wait_for(sub { thumbs(0) eq '1/1' }, 10), 'the last vote counts, wherever it comes in') or diag(thumbs(0));
is(vote(1, 'f' x 32, 'up')->status, 202, 'nobody may know a request');
is($nodes->metric('llm_feedback_forwarded_total'), 3, 'metrics tell');

# ---- who is gone, or begins anew ----------------------------------------------

$nodes->leave(2);
is(total(0), 120, 'what a node counted that is gone still counts');
$nodes->back(2);
chat($nodes->node(2), 'm', headers => { 'X-User' => "user-$_" }) for 1 .. 10;
ok(wait_for(sub { 3 == grep { total($_) == 130 } 0 .. 2 }, 20), 'a restart counts on')
    or diag(join ' ', map { total($_) } 0 .. 2);
$redis->flush;
ok(wait_for(sub { total(0) == 90 && total(2) == 90 }, 15), 'after FLUSHALL nodes tell again what they know')
    or diag(join ' ', map { total($_) } 0 .. 2);

# ---- phases -------------------------------------------------------------------

my $doc = $nodes->node(0)->get('/admin/splits/s')->json;
ok(wait_for(sub {
    $r = $nodes->node(0)->http(PUT => '/admin/splits/s', $json, to_json({ version => $doc->{version}, weights => { blue => 40, green => 60 } }));
    $r->status == 200 }, 10), 'other weights');
ok(wait_for(sub { 3 == grep { total($_) == 0 && report($_)->{phase} == report(0)->{phase} } 0 .. 2 }, 10),
   'are another phase on all nodes');

# ---- the trail ------------------------------------------------------------------

$nodes->node(1)->http(PUT => '/admin/providers/b', $json, to_json({ enabled => \0 }));
sub trail { return @{ $nodes->node(2)->get('/admin/audit?all=1')->json->{entries} || [] } }
ok(wait_for(sub { my %by = map { $_->{node} => 1 } trail(); keys %by == 2 }, 10), 'one trail of all nodes');
my %seen;
$seen{"$_->{node} $_->{entry}{seq}"}++ for trail();
is(scalar(grep { $_ > 1 } values %seen), 0, 'no entry twice');
is(scalar(grep { $_->{entry}{action} eq 'set' } trail()), 1, 'with the change of weights');
is(scalar @{ $nodes->node(2)->get('/admin/audit')->json->{entries} }, 0, "a node's own is its own");

$redis->pause;
is($nodes->node(2)->get('/admin/audit?all=1')->status, 503, 'without Redis there is none of all');
is(total(0), 0, 'and experiments show what this node counted');
is(report(0)->{nodes}, 1, 'of one node');
$redis->resume;

$_->expect_log(qr/llm: redis /) for map { $_->{gw} } @{ $nodes->{all} };
finish();
