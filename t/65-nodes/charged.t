# What is charged is what was used, to the token and to the nano-dollar, over
# all nodes and whatever happens meanwhile; and who is refused takes nothing.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

my $fleet = Test::LLM::Fleet->new(scale => 4, server => <<'EOC')->start;
        location /all/ { llm_limit per=$http_x_client 20000t/d;
                         llm_budget per=$http_x_client 0.03usd/d; llm_pass m; }
        location /two/ { llm_limit per=$http_x_client 7r/d;
                         llm_limit 1000r/d 1000000t/d; llm_pass m; }
EOC
my @as = map { { client => "c$_", headers => { 'X-Client' => "c$_" },
                 $_ % 2 ? (body => { stream => JSON::PP::true() }) : () } } 1 .. 6;

diag 'SEED=' . $fleet->seed;

sub charged { my ($rule, $what) = @_; $fleet->nodes->metric('llm_limit_' . ($what || 'charged') . '_total', rule => $rule) }

$fleet->offer(rate => 120, seconds => 60, path => '/all/v1/chat/completions', as => \@as,
    use => [ 20, 300, 5, 200 ], to => $fleet->nodes->to(n0 => 4));
$fleet->pass(5);
$fleet->faults->run($_) for qw(drop reload stop partition);
my @r = $fleet->load->wait;
my $judge = $fleet->judge;

# (a reload may meet a request on an idle connection)
is_deeply([ Test::LLM::Judge::strange([ grep { !$_->{reused} || !$_->{error} } @r ], 429) ], [],
    'all are answered or refused');
my %used = (tokens => $judge->sum(of => 'tokens')->{''},
            money => $judge->sum(of => 'money', price => [ 1000, 3000 ])->{''});
is(charged('$http_x_client 20000t/d'), $used{tokens}, 'tokens: charged is used');
is(charged('$http_x_client 0.03usd/d'), $used{money}, 'money: charged is used');
is_deeply([ $judge->calendar(window => 86400, limit => 20000, by => 'client', of => 'tokens') ], [],
    '... and no client has more tokens than allowed');
is_deeply([ $judge->calendar(window => 86400, limit => 30_000_000, by => 'client', of => 'money',
    price => [ 1000, 3000 ]) ], [], '... or money');
is(charged('$http_x_client 20000t/d', 'reserved') - charged('$http_x_client 20000t/d', 'refunded'),
    $used{tokens}, 'nothing is reserved any more');

# refused by one rule: nothing of the others
$fleet->provider->forget;
$fleet->offer(rate => 60, seconds => 20, path => '/two/v1/chat/completions', as => \@as);
$fleet->load->wait;
$judge = $fleet->judge;
is_deeply($judge->sum(by => 'client'), { map { ("c$_" => 7) } 1 .. 6 }, 'seven each');
is(charged('1000r/d'), 42, '... and what was refused took nothing of the rule for all');
is(charged('1000000t/d'), $judge->sum(of => 'tokens')->{''}, '... nor of its tokens');

finish();
