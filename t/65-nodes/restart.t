# Calendars survive a restart: on one node, and what a node has lent to others.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

{
    my $up = Test::LLM::Upstream->new;
    $up->on('/*' => ok_chat('x'));
    my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, workers => 2, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_state %%DIR%%/state;
    llm_provider up { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; }
    llm_model m { provider up; id m-1; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /day/    { llm_pass m; llm_limit per=$http_x_who 5r/d clock=calendar; }
        location /minute/ { llm_pass m; llm_limit per=$http_x_who 5r/h clock=sliding; }
    }
EOC
    my $ask = sub {
        my ($path, $who) = @_;
        return $gw->http(POST => "/$path/v1/chat/completions", { 'X-Who' => $who }, chat_body('m'))->status;
    };

    is(join(' ', map { $ask->('day', 'a') } 1 .. 3), '200 200 200', 'three of five');
    is($ask->('day', 'b'), 200, 'one of another one');
    is($ask->('minute', 'a'), 200, 'one that slides');
    $gw->quit;
    $gw->start;
    is(join(' ', map { $ask->('day', 'a') } 1 .. 3), '200 200 429', 'the day goes on');
    is(join(' ', map { $ask->('day', 'b') } 1 .. 5), '200 200 200 200 429', '... for each');
    is(join(' ', map { $ask->('minute', 'a') } 1 .. 6), '200 200 200 200 200 429', 'what slides is forgotten');

    # what is not a counter is dropped, what follows as well
    $gw->quit;
    my $file = $gw->dir . '/state/state.json';
    my $text = do { local (@ARGV, $/) = $file; <> };
    ok($text =~ s/("counters":\[)/$1"zz","1 2 3",7,/, 'a damaged file');
    open my $fh, '>', $file or die $!;
    print $fh $text;
    close $fh;
    $gw->start;
    is($ask->('day', 'a'), 200, '... counts anew');
    check($gw);
}

SKIP: {
    skip 'no redis-server', 1 unless Test::LLM::Redis->available;
    my $fleet = Test::LLM::Fleet->new(n => 2, workers => 2, scale => 4, server => <<'EOC')->start;
        location /day/ { llm_pass m; llm_limit per=$http_x_client 60r/d clock=calendar; }
EOC
    note 'seed ', $fleet->seed;
    $fleet->pass(4);
    my $offer = sub {
        my (%weight) = @_;
        $fleet->offer(rate => 60, seconds => 12, to => $fleet->nodes->to(%weight),
            path => '/day/v1/chat/completions', model => 'm',
            as => [ { client => 'c', headers => { 'X-Client' => 'c' } } ]);
        return scalar grep { $_->{status} == 200 } $fleet->load->wait;
    };

    my $sum = $offer->(n0 => 1, n1 => 0);
    cmp_ok($sum, '>', 45, 'one node has most of the day, the other has lent it');
    $fleet->nodes->leave(1);
    $fleet->nodes->back(1);
    $fleet->pass(4);
    $sum += $offer->(n0 => 0, n1 => 1);
    $sum += $offer->(n0 => 1, n1 => 1);
    is($sum, 60, 'after its restart it still knows what it has lent');
    check($_) for $fleet->nodes->nodes;
}

finish();
