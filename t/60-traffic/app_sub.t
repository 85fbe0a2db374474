# What nginx itself asks an application for on behalf of a request: slices and
# includes.  All of one variant, whatever the split
# would have chosen for each, and one outcome.

use lib 't/lib';
use Test::LLM;

my $gw = Test::LLM::Gateway->new(
    files => { 'www/blue/part/file' => 'b' x 5000, 'www/green/part/file' => 'g' x 5000 },
    conf => <<'EOC')->start;
    llm_zone t:16m;
    default_type text/html;

    llm_split app  { variant blue  http://unix:%%DIR%%/blue.sock  50%;
                     variant green http://unix:%%DIR%%/green.sock 50%; }
    llm_split kept { variant blue  http://unix:%%DIR%%/blue.sock  100%;
                     variant green http://unix:%%DIR%%/green.sock 0%; }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /part/  { slice 1000; proxy_set_header Range $slice_range; llm_pass app; }
        location /page/  { ssi on; llm_pass app; }
        location /other/ { llm_pass kept; }
        location /asked/ { auth_request /other/; root %%DIR%%/www/blue; }
        location /admin/ { llm_admin; }
    }
    server {
        listen unix:%%DIR%%/blue.sock;
        root %%DIR%%/www/blue;
        location /page/ { return 200 "blue <!--# include virtual='/part/file' -->"; }
    }
    server {
        listen unix:%%DIR%%/green.sock;
        root %%DIR%%/www/green;
        location /page/ { return 200 "green <!--# include virtual='/part/file' -->"; }
    }
EOC

sub counted {
    my ($split) = @_;
    my $n = 0;
    $n += $_->{totals}{n} for @{ $gw->get("/admin/splits/$split")->json->{variants} };
    return $n;
}

my %seen;
$seen{ $gw->get('/part/file')->body }++ for 1 .. 20;
is(join(' ', sort keys %seen), join(' ', 'b' x 5000, 'g' x 5000), 'slices are of one variant');
ok(wait_for(sub { counted('app') == 20 }, 5), '... and one outcome') or diag counted('app');

%seen = ();
$seen{ $gw->get('/page/x')->body }++ for 1 .. 20;
is(join(' ', sort keys %seen), join(' ', 'blue ' . 'b' x 5000, 'green ' . 'g' x 5000), 'so are includes');
ok(wait_for(sub { counted('app') == 40 }, 5), '... and one outcome') or diag counted('app');

# a request that no application serves, or another split's
$gw->expect_log(qr/serves no subrequests/, qr/auth request unexpected status/);
is($gw->get('/asked/')->status, 500, 'nothing is chosen for a subrequest');
like($gw->log, qr/"llm_pass" serves no subrequests.*request: "GET \/asked\//, '... which the log says');

finish();
