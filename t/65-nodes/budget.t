# One budget, three nodes: money is never spent twice, what one node does not
# need another one spends; and what becomes of rules when Redis is away.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Nodes;
use Test::LLM::Redis;
use Test::LLM::Upstream;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis->available;

my $up = Test::LLM::Upstream->new;
my $redis = Test::LLM::Redis->new;
my $nodes = Test::LLM::Nodes->new(n => 3, workers => 2, redis => $redis,
    vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:16m;
    llm_redis %%REDIS%%;
    llm_provider up { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_model dear  { provider up; id dear;  price input=1000 output=2000; }
    llm_model cheap { provider up; id cheap; price input=1 output=2; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /hard/    { llm_pass dear; llm_budget per=$http_x_team 1usd/M; }
        location /moves/   { llm_pass dear; llm_budget per=$http_x_team 0.3usd/M degrade to=cheap; }
        location /closed/  { llm_pass dear; llm_limit per=$http_x_team 30r/d without_redis=closed; }
        location /open/    { llm_pass dear; llm_limit per=$http_x_team 3r/d without_redis=open; }
        location /safe/    { llm_pass dear; llm_limit per=$http_x_team 9r/d; }
        location /local/   { llm_pass dear; llm_limit per=$http_x_team 2r/d local; }
        location /admin/   { llm_admin; }
    }
EOC

$up->on('/*' => ok_chat('x'));                          # 0.017 dollars at "dear"

sub ask {
    my ($i, $where, $team) = @_;
    return $nodes->node($i)->http(POST => "/$where/v1/chat/completions", { 'X-Team' => $team },
        chat_body('m', max_tokens => 3));
}

# until that many were served on these nodes, or time is over
sub serve {
    my ($where, $team, $want, @on) = @_;
    my $n = 0;
    wait_for(sub { $n += grep { ask($_, $where, $team)->status == 200 } @on; $n >= $want }, 20);
    return $n;
}

sub known {
    my ($i) = @_;
    my $page = $nodes->node($i)->get('/admin/redis')->json or return 0;
    return $page->{learning} ? 0 : $page->{nodes} // 0;
}

ok(wait_for(sub { 3 == grep { known($_) == 3 } 0 .. 2 }, 20), 'the nodes know each other');
select undef, undef, undef, 2 * $Test::LLM::Gateway::SLOW;  # ... and divide among all of them


# hard ---------------------------------------------------------------------------

my $one = serve('hard', 'one', 54, 0);
cmp_ok($one, '>=', 54, "all of the load on one node: $one requests of 0.017 dollars for one dollar");
my $more = grep { ask($_, 'hard', 'one')->status == 200 } (0, 1, 2) x 10;
cmp_ok(($one + $more) * 0.017, '<=', 1, "... and not more: $more later");

my $all = serve('hard', 'all', 54, 0, 1, 2);
$all += grep { ask($_, 'hard', 'all')->status == 200 } (0, 1, 2) x 10;
cmp_ok($all, '>=', 54, "on all nodes: $all");
cmp_ok($all * 0.017, '<=', 1, '... and not more');


# degrade ------------------------------------------------------------------------

my %by;
for (1 .. 20) {
    $by{ ask($_ % 3, 'moves', 'm')->header('x-llm-model') // '' }++;
}
cmp_ok($by{dear}, '<=', 3 * 18 / 3 + 3, "a soft budget moves requests on every node: $by{dear} were dear");
cmp_ok($by{cheap} // 0, '>', 0, '... and then they are cheap');


# without Redis ------------------------------------------------------------------

is(ask($_, 'local', 'l')->status, 200, 'local: each node for itself') for 0, 0, 1, 1, 2, 2;
is(ask(0, 'local', 'l')->status, 429, '... and no more');
is(ask(0, $_, 'x')->status, 200, "$_ with Redis") for qw(closed open safe);

$redis->kill_hard;
my $r;
ok(wait_for(sub { $r = ask(0, 'closed', 'x'); $r->status == 503 }, 15), 'closed: nobody is served');
is($r->header('x-llm-error'), 'policy_limit_unavailable', '... with a code of its own');
like($r->header('retry-after'), qr/^\d+$/, '... for a while');
like($r->json->{error}{message}, qr/"\$http_x_team 30r\/d" cannot be checked/, '... by its name');

is(ask(0, 'open', 'x')->status, 200, 'open: everybody is') for 1 .. 6;
my $safe = grep { ask(0, 'safe', 'x')->status == 200 } 1 .. 9;
cmp_ok($safe, '>=', 2, "safe: the node's share goes on: $safe");
cmp_ok($safe, '<=', 8, '... and no more than all');
my $others = grep { ask($_, 'safe', 'x')->status == 200 } (1, 2) x 9;
cmp_ok(1 + $safe + $others, '<=', 9, "with the other nodes: " . (1 + $safe + $others) . ' of 9');

$redis->start;
ok(wait_for(sub { ask(0, 'closed', 'x')->status == 200 }, 20), 'Redis is back, and so are they');

check($_) for $nodes->nodes;
finish();
