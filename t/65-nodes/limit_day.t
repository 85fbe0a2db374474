# Calendar limits of three nodes: never one more than the limit in a day, and in
# the end the whole of it, however unevenly the requests come, and whatever
# happens to nodes and Redis meanwhile.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

my $fleet = Test::LLM::Fleet->new(scale => 6, pair => 1, server => <<'EOC')->start;
        location /day/ { llm_limit per=$http_x_client 50r/d clock=calendar; llm_pass m; }
EOC

diag 'SEED=' . $fleet->seed;

# several clients at once for so long; then until each has all of its limit
sub clients {
    my ($name, $n, %o) = @_;
    my @as = map { { client => "$name-$_", headers => { 'X-Client' => "$name-$_" } } } 1 .. $n;
    return (path => '/day/v1/chat/completions', as => \@as, rate => 12 * $n, %o);
}

sub sums {
    my ($name) = @_;
    my $sums = $fleet->provider->clients;
    return map { $sums->{$_} } grep { /^\Q$name\E-/ } sort keys %$sums;
}

# a share of a day that turned meanwhile begins anew: that is no failure
sub all_used {
    my ($name, $n, $seconds) = @_;
    return wait_for(sub { my @s = sums($name); @s == $n && !grep { $_ < 50 } @s }, $seconds);
}


# evenly, on one node, and unevenly
for my $case ([ even => {} ], [ one => { n1 => 0, n2 => 0 } ], [ uneven => { n0 => 8, n1 => 2 } ]) {
    my ($name, $weight) = @$case;
    $fleet->offer(clients($name, 4, seconds => 400, to => $fleet->nodes->to(%$weight)));
    ok(all_used($name, 4, 30), "$name load: the whole limit is used");
    $fleet->pass(4);
    $fleet->load->halt;
    $fleet->load->wait;
    is_deeply([ sums($name) ], [ (50) x 4 ], '... and no more');
}

# while things happen
for my $fault ($fleet->faults->names) {
    $fleet->offer(clients($fault, 4, seconds => 1000));
    wait_for(sub { my @s = sums($fault); @s && $s[0] > 5 }, 10);
    $fleet->faults->run($fault);
    # a node that has just come is not known to the others for a moment
    my $share = $fault =~ /come|reboot/ ? 17 : 0;
    my $used = all_used($fault, 4, $fault eq 'go' ? 5 : 20);
    # who goes takes what it had left of its share: at most all of it, 17
    $used = !grep { $_ < 33 } sums($fault) if $fault eq 'go';
    $fleet->pass(2);
    $fleet->load->halt;
    my @r = $fleet->load->wait;
    my @sums = sums($fault);
    ok($used, $fault eq 'go' ? 'go: a node took no more than its share with it'
        : "$fault: the whole limit is used") or diag "@sums";
    is_deeply([ grep { $_ > 50 + $share } @sums ], [], '... and no more') or diag "@sums";
    my @odd = grep { !$_->{reused} } @r;
    is_deeply([ Test::LLM::Judge::strange(\@odd, 429) ], [], '... and every request was answered')
        unless $fault eq 'kill';
}

finish();
