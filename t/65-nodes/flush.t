# Redis loses its data while two of three nodes cannot reach it: the third one,
# of whom alone Redis knows then, has not forgotten the others.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

my $fleet = Test::LLM::Fleet->new(scale => 6, workers => 1, server => <<'EOC')->start;
        location /day/ { llm_limit per=$http_x_client 50r/d; llm_pass m; }
EOC

# so many requests to a node in so many seconds
sub ask {
    my ($i, $n, $seconds) = @_;
    $fleet->offer(path => '/day/v1/chat/completions', count => $n,
        rate => $n * $fleet->clock->scale / $seconds, to => [ $fleet->nodes->to->[$i] ],
        as => [ { client => 'c', headers => { 'X-Client' => 'c' } } ]);
    my @r = $fleet->load->wait;
    return scalar grep { $_->{status} == 200 } @r;
}

my @had = map { ask($_, 5, 1) } 0 .. 2;
is_deeply(\@had, [ 5, 5, 5 ], 'each node serves its part');
$fleet->nodes->proxy($_)->set(cut => 'silent') for 1, 2;
$fleet->pass(2);
$fleet->redis->flush;

# it hears of itself only, and asks for more all the time
my $alone = $had[0] + ask(0, 120, 14);
cmp_ok($alone, '<=', 18, 'a node alone with Redis has its part and no more');
cmp_ok($alone, '>=', 16, '... which it may use');
my $all = $alone + ask(1, 40, 4) + ask(2, 40, 4) + $had[1] + $had[2];
cmp_ok($all, '<=', 50, '... as the others have theirs');

$fleet->nodes->proxy($_)->set() for 1, 2;
my $rest = 0;
$rest += ask($_ % 3, 10, 1) for 1 .. 12;
is($fleet->provider->count, 50, 'when they are back the whole limit is used, and no more');
is($all + $rest, 50, '... as the answers tell');

finish();
